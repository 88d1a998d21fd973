//! What went wrong, and what to do next.

texts! {
    /// Pages and lines of errors.
    Errors {
        to_start: "Go to the start page", "Về trang chủ";
        cross_site_title: "Sent from another site", "Được gửi từ trang khác";
        cross_site: "This form was not sent from a page of this service. Open the page again and repeat what you did.", "Biểu mẫu này không được gửi từ trang của dịch vụ này. Hãy mở lại trang và thực hiện lại.";
        not_found_title: "Not found", "Không tìm thấy";
        not_found: "There is nothing here, or it is not yours to see.", "Không có gì ở đây, hoặc bạn không có quyền xem.";
        forbidden_title: "Not allowed", "Không được phép";
        forbidden: "Your role in this account does not allow this. Ask its owner.", "Vai trò của bạn trong tài khoản này không cho phép việc đó. Hãy hỏi chủ sở hữu.";
        plan_title: "A paid plan is needed", "Cần có gói trả phí";
        plan: "This account has no running paid plan. Subscribe to one, then try again.", "Tài khoản này không có gói trả phí đang hoạt động. Hãy đăng ký gói rồi thử lại.";
        suspended_title: "The account is suspended", "Tài khoản bị tạm ngưng";
        suspended: "Ask the operator of this service why.", "Hãy hỏi đơn vị vận hành dịch vụ này.";
        conflict_title: "Somebody changed this in the meantime", "Nội dung này vừa được người khác thay đổi";
        conflict: "Nothing of yours was saved. Open it again: you see what it is now, and can repeat your change.", "Thay đổi của bạn chưa được lưu. Hãy mở lại để xem nội dung hiện tại rồi thực hiện lại.";
        invalid_title: "Something is not right", "Có điều chưa đúng";
        state_title: "Not possible now", "Hiện không thể thực hiện";
        state: "Its state does not allow this. Reload the page to see what it is now.", "Trạng thái hiện tại không cho phép việc này. Hãy tải lại trang để xem trạng thái mới nhất.";
        too_large_title: "Too much at once", "Quá nhiều dữ liệu";
        too_large: "What was sent is too large. Shorten it and send it again.", "Nội dung gửi lên quá lớn. Hãy rút gọn rồi gửi lại.";
        too_many_title: "Too many attempts", "Thử quá nhiều lần";
        too_many: "Wait a minute, then try again.", "Hãy đợi một phút rồi thử lại.";
        unavailable_title: "Not available right now", "Hiện không khả dụng";
        unavailable: "The store cannot be reached. Try again in a moment; if you were changing something, look whether it happened first.", "Không kết nối được kho dữ liệu. Hãy thử lại sau giây lát; nếu bạn đang thay đổi gì đó, hãy kiểm tra xem thay đổi đã được thực hiện chưa.";
        internal_title: "Something went wrong on our side", "Đã xảy ra lỗi phía chúng tôi";
        internal: "The operator's log says more. Nothing to do with what you typed.", "Nhật ký của đơn vị vận hành có thêm chi tiết. Lỗi không do nội dung bạn nhập.";
        required: "This is needed.", "Mục này là bắt buộc.";
        check_fields: "Nothing was saved yet: see what is said beside the fields.", "Chưa lưu gì cả: hãy xem ghi chú bên cạnh các mục.";
        bad_name: "A name has 1 to 200 characters and no control characters.", "Tên có từ 1 đến 200 ký tự và không chứa ký tự điều khiển.";
    }
}
