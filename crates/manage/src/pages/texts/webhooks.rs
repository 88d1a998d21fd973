//! Webhooks: their list, their delivery log, and the operator's mail.

texts! {
    /// The pages of webhooks.
    Webhooks {
        about: "Endpoints of yours that hear at once when something happens, such as a key that was found in public. Each notice is signed.", "Các điểm nhận của bạn được báo ngay khi có việc xảy ra, ví dụ một key bị lộ công khai. Mỗi thông báo đều được ký.";
        about_deployment: "Endpoints of the operator that hear of every account. Customers make their own under My Account.", "Các điểm nhận của đơn vị vận hành, được báo về mọi tài khoản. Khách hàng tự tạo điểm nhận của mình trong Tài khoản của tôi.";
        none: "No webhook yet", "Chưa có webhook nào";
        add: "Add webhook", "Thêm webhook";
        name: "Name", "Tên";
        endpoint: "Endpoint", "Điểm nhận";
        endpoint_hint: "An address that begins with https:// and is reachable from the Internet. Notices are posted there as JSON.", "Địa chỉ bắt đầu bằng https:// và truy cập được từ Internet. Thông báo được gửi tới đó dưới dạng JSON.";
        endpoint_hint_private: "The address to which notices are posted as JSON.", "Địa chỉ nhận thông báo dưới dạng JSON.";
        bad_endpoint: "This address cannot be used: it must begin with https:// and be of the public Internet, without a user name.", "Không dùng được địa chỉ này: phải bắt đầu bằng https://, thuộc Internet công khai và không kèm tên người dùng.";
        too_many: "There are 20 webhooks already. Remove one first.", "Đã có 20 webhook. Hãy xóa bớt một webhook trước.";
        status: "Status", "Trạng thái";
        active: "on", "đang bật";
        disabled: "off", "đã tắt";
        failed: "given up", "đã ngừng gửi";
        failing: "failing", "đang lỗi";
        failing_since: "Failing since", "Lỗi từ";
        given_up: "Everything failed here for five days, so nothing is sent any more. Mend the endpoint, send a test, then switch it on.", "Mọi lần gửi tới đây đều lỗi trong năm ngày nên đã ngừng gửi. Hãy sửa điểm nhận, gửi thử rồi bật lại.";
        created: "Created", "Ngày tạo";
        secret: "Secret", "Khóa bí mật";
        both_until: "The secret from before signs too until", "Khóa cũ vẫn ký đến";
        secret_kept: "shown once when it was made; a new one can be made", "chỉ hiển thị một lần khi tạo; có thể tạo khóa mới";
        edit: "Edit", "Sửa";
        edit_title: "Edit webhook", "Sửa webhook";
        save: "Save", "Lưu";
        test: "Send a test", "Gửi thử";
        switch_on: "Switch on", "Bật";
        switch_off: "Switch off", "Tắt";
        rotate: "New secret", "Tạo khóa mới";
        rotate_title: "New secret for {}?", "Tạo khóa mới cho {}?";
        rotate_what: "For a day each notice has both signatures, so that you can change over without missing one. After that only the new secret signs.", "Trong một ngày, mỗi thông báo có cả hai chữ ký để bạn chuyển đổi mà không lỡ thông báo nào. Sau đó chỉ khóa mới ký.";
        remove: "Remove", "Xóa";
        remove_title: "Remove {}?", "Xóa {}?";
        remove_what: "Nothing is sent there any more, what waits neither. Its delivery log is gone too.", "Không gửi gì tới đó nữa, kể cả những gì đang chờ. Nhật ký gửi cũng mất.";
        secret_title: "Webhook secret", "Khóa bí mật của webhook";
        secret_once: "Keep it now: it is not shown again. Your endpoint checks signatures with it, by any library for Standard Webhooks.", "Hãy lưu ngay: khóa sẽ không hiển thị lại. Điểm nhận dùng khóa này để kiểm tra chữ ký, bằng bất kỳ thư viện Standard Webhooks nào.";
        copy: "Copy", "Sao chép";
        done: "Done", "Xong";
        log: "Delivery log", "Nhật ký gửi";
        log_none: "Nothing was sent there yet. Send a test.", "Chưa gửi gì tới đây. Hãy gửi thử.";
        log_about: "Kept for 30 days.", "Giữ trong 30 ngày.";
        what: "Notice", "Thông báo";
        when: "Made", "Lúc tạo";
        attempts: "Attempts", "Các lần gửi";
        no_attempt: "not attempted yet", "chưa gửi lần nào";
        next: "next", "lần tới";
        sent: "delivered", "đã gửi";
        pending: "waiting", "đang chờ";
        undelivered: "not delivered", "không gửi được";
        arrived: "Answered {} in {} ms", "Trả lời {} sau {} ms";
        resend: "Send again", "Gửi lại";
        action: "Action", "Thao tác";
        kind_key: "A key was found in public", "Key bị lộ công khai";
        kind_token: "An access token was found in public", "Mã truy cập bị lộ công khai";
        kind_webhook: "A webhook was given up", "Webhook bị ngừng gửi";
        kind_test: "Test", "Gửi thử";
        test_good: "It arrived: the endpoint answered {} in {} ms.", "Đã đến: điểm nhận trả lời {} sau {} ms.";
        test_bad: "It did not arrive. {}.", "Không đến được. {}.";
        mail: "Mail", "Thư điện tử";
        mail_on: "Owners and operators are told by mail too, in the language that each chose.", "Chủ sở hữu và đơn vị vận hành cũng được báo qua thư, theo ngôn ngữ mỗi người đã chọn.";
        mail_off: "No mail is sent: set [mail] in the settings, and owners and operators are told by mail too.", "Không gửi thư: hãy đặt [mail] trong cấu hình để chủ sở hữu và đơn vị vận hành được báo qua thư.";
        mail_test: "Send me a test mail", "Gửi thư thử cho tôi";
        mail_no_address: "You have no mail address yet: set one under Users.", "Bạn chưa có địa chỉ thư: hãy đặt trong mục Người dùng.";
        mail_good: "The mail server took it: look into your mailbox.", "Máy chủ thư đã nhận: hãy kiểm tra hộp thư của bạn.";
        more: "Next page", "Trang sau";
        pages: "Pages", "Các trang";
        changed: "Somebody changed it in the meantime; nothing was saved. It is now: {}, {}", "Có người đã sửa trong lúc này; chưa lưu gì. Hiện tại là: {}, {}";
    }
}
