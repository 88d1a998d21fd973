//! Signing in and out, and accepting an invitation.

texts! {
    /// The sign-in pages.
    SignIn {
        title: "Sign in", "Đăng nhập";
        email: "E-mail", "Email";
        password: "Password", "Mật khẩu";
        go_on: "Sign in", "Đăng nhập";
        or: "or", "hoặc";
        refused: "This e-mail and password do not sign anybody in. Check both and try again.", "Email và mật khẩu này không đúng. Hãy kiểm tra cả hai rồi thử lại.";
        too_many: "Too many attempts. Wait a minute, then try again.", "Thử quá nhiều lần. Hãy đợi một phút rồi thử lại.";
        no_password: "No password yet, or forgotten?", "Chưa có hoặc quên mật khẩu?";
        no_password_how: "Ask the operator of this service for a one-time sign-in link; it signs you in once, and you can set a password then.", "Hãy xin đơn vị vận hành dịch vụ một liên kết đăng nhập dùng một lần; sau khi đăng nhập bạn có thể đặt mật khẩu.";
        you_run: "You run this service?", "Bạn vận hành dịch vụ này?";
        you_run_how: "The link stands in the output of the first start. For a new one, run tollgate bootstrap on the server and use the token that it prints.", "Liên kết nằm trong kết quả của lần khởi động đầu tiên. Để có liên kết mới, hãy chạy tollgate bootstrap trên máy chủ và dùng mã truy cập được in ra.";
        once: "This link works once. Go on only if you asked for it.", "Liên kết này chỉ dùng được một lần. Chỉ tiếp tục nếu chính bạn đã yêu cầu.";
        broken_title: "This link does not work", "Liên kết không hợp lệ";
        broken: "It was used before, has expired, or is not complete. Ask for a new one.", "Liên kết đã được dùng, đã hết hạn hoặc không đầy đủ. Hãy yêu cầu liên kết mới.";
        back: "Back to sign-in", "Quay lại đăng nhập";
        code: "Code", "Mã";
        failed_title: "Sign-in did not work", "Đăng nhập không thành công";
        oidc_state: "This sign-in was not begun in this browser, or it took too long. Begin again.", "Lần đăng nhập này không bắt đầu từ trình duyệt này hoặc đã mất quá nhiều thời gian. Hãy bắt đầu lại.";
        oidc_denied: "The identity provider refused, or you cancelled. Begin again if you want to sign in.", "Nhà cung cấp danh tính đã từ chối hoặc bạn đã hủy. Hãy bắt đầu lại nếu bạn muốn đăng nhập.";
        oidc_provider: "The identity provider cannot be reached right now, or gave no proper answer. Try again in a moment; if it stays so, tell the operator of this service the code below.", "Hiện không kết nối được nhà cung cấp danh tính hoặc câu trả lời không hợp lệ. Hãy thử lại sau giây lát; nếu vẫn vậy, hãy báo mã bên dưới cho đơn vị vận hành dịch vụ.";
        oidc_token: "The identity provider's answer could not be trusted, so nobody was signed in. Begin again; if it stays so, tell the operator of this service the code below.", "Không thể tin cậy câu trả lời của nhà cung cấp danh tính nên chưa ai được đăng nhập. Hãy bắt đầu lại; nếu vẫn vậy, hãy báo mã bên dưới cho đơn vị vận hành dịch vụ.";
        oidc_unverified: "The identity provider has not verified your e-mail address. Verify it there, then sign in again.", "Nhà cung cấp danh tính chưa xác minh địa chỉ email của bạn. Hãy xác minh tại đó rồi đăng nhập lại.";
        oidc_unknown: "You are known to the identity provider, but not here. Ask the operator of this service, or an owner of your account for an invitation.", "Nhà cung cấp danh tính biết bạn, nhưng dịch vụ này thì chưa. Hãy hỏi đơn vị vận hành dịch vụ hoặc xin lời mời từ chủ sở hữu tài khoản của bạn.";
        oidc_taken: "Somebody here has your e-mail address who was never checked to be you. If it is you, sign in with the password; else tell the operator of this service.", "Ở đây đã có người dùng với địa chỉ email của bạn nhưng chưa được xác nhận là bạn. Nếu đó là bạn, hãy đăng nhập bằng mật khẩu; nếu không, hãy báo cho đơn vị vận hành dịch vụ.";
        disabled: "Your user is disabled. Ask the operator of this service.", "Người dùng của bạn đã bị vô hiệu hóa. Hãy hỏi đơn vị vận hành dịch vụ.";
        invited_title: "Join {}", "Tham gia {}";
        invited_by: "{} invites you as {}.", "{} mời bạn tham gia với vai trò {}.";
        invited: "You are invited as {}.", "Bạn được mời tham gia với vai trò {}.";
        invited_as_me: "You are signed in as {}.", "Bạn đang đăng nhập với tên {}.";
        join: "Join", "Tham gia";
        join_new: "Create user and join", "Tạo người dùng và tham gia";
        name: "Your name", "Tên của bạn";
        password_hint: "At least 12 characters. Length counts, not signs: a line from a song is fine.", "Ít nhất 12 ký tự. Độ dài mới quan trọng: một câu hát cũng được.";
        have_user: "I have a user here: sign in first", "Tôi đã có người dùng ở đây: đăng nhập trước";
        bad_email: "This is not an e-mail address.", "Đây không phải là địa chỉ email.";
        email_taken: "A user here has this address. Sign in first, then open the invitation again.", "Địa chỉ này đã có người dùng. Hãy đăng nhập trước rồi mở lại lời mời.";
        invitation_gone_title: "This invitation does not work", "Lời mời không hợp lệ";
        invitation_gone: "It was accepted before, taken back, or has expired. Ask for a new one.", "Lời mời đã được chấp nhận, bị thu hồi hoặc đã hết hạn. Hãy xin lời mời mới.";
        not_yours: "This invitation is for somebody else's e-mail address, or you belong to the account already.", "Lời mời này dành cho địa chỉ email khác, hoặc bạn đã thuộc tài khoản này.";
    }
}
