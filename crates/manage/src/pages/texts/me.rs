//! One's own profile: name, password, sessions, access tokens.

texts! {
    /// The pages of one's own profile.
    Me {
        title: "Profile and sign-in", "Hồ sơ và đăng nhập";
        name: "Name", "Tên";
        email: "E-mail", "Email";
        none: "none", "không có";
        change_name: "Change name", "Đổi tên";
        password: "Password", "Mật khẩu";
        password_set: "You have a password.", "Bạn đã có mật khẩu.";
        password_unset: "You have no password yet. Set one to come back without a one-time link.", "Bạn chưa có mật khẩu. Hãy đặt mật khẩu để lần sau đăng nhập không cần liên kết dùng một lần.";
        password_needs_email: "Signing in with a password takes an e-mail address too: ask the operator of this service to enter yours.", "Đăng nhập bằng mật khẩu cần có địa chỉ email: hãy nhờ đơn vị vận hành dịch vụ nhập địa chỉ của bạn.";
        set_password: "Set a password", "Đặt mật khẩu";
        change_password: "Change password", "Đổi mật khẩu";
        remove_password: "Remove password", "Xóa mật khẩu";
        remove_why: "You sign in by your identity provider alone from then on. Your other sessions end.", "Từ đó bạn chỉ đăng nhập qua nhà cung cấp danh tính. Các phiên khác của bạn sẽ kết thúc.";
        current: "Present password", "Mật khẩu hiện tại";
        new_password: "New password", "Mật khẩu mới";
        password_hint: "At least 12 characters. Length counts, not signs: a line from a song is fine. Your other sessions end.", "Ít nhất 12 ký tự. Độ dài mới quan trọng: một câu hát cũng được. Các phiên khác của bạn sẽ kết thúc.";
        save: "Save", "Lưu";
        wrong_current: "This is not your present password.", "Đây không phải mật khẩu hiện tại của bạn.";
        too_short: "Use at least 12 characters.", "Hãy dùng ít nhất 12 ký tự.";
        too_long: "Use at most 1,024 bytes.", "Hãy dùng nhiều nhất 1.024 byte.";
        too_common: "Somebody who guesses tries this one first. Choose another.", "Đây là mật khẩu dễ bị đoán ra đầu tiên. Hãy chọn mật khẩu khác.";
        own_name: "Do not use your own name or e-mail address.", "Đừng dùng tên hoặc địa chỉ email của chính bạn.";
        last_way_in: "Without a password you could not sign in again.", "Nếu không có mật khẩu, bạn sẽ không thể đăng nhập lại.";
        providers: "Identity provider", "Nhà cung cấp danh tính";
        sessions: "Sessions", "Phiên đăng nhập";
        session: "Browser", "Trình duyệt";
        browser_on: "{} on {}", "{} trên {}";
        unknown_browser: "Unknown browser", "Trình duyệt không rõ";
        this_session: "this session", "phiên này";
        method: "Signed in by", "Đăng nhập bằng";
        method_link: "one-time link", "liên kết dùng một lần";
        method_password: "password", "mật khẩu";
        method_oidc: "identity provider", "nhà cung cấp danh tính";
        method_invitation: "invitation", "lời mời";
        from: "From", "Từ";
        since: "Since", "Từ lúc";
        last_seen: "Last seen", "Lần cuối";
        end_session: "End", "Kết thúc";
        end_everywhere: "Sign out everywhere else", "Đăng xuất ở mọi nơi khác";
        end_everywhere_ask: "All your sessions end but this one, and sign-in links that wait. Access tokens and API keys go on working: revoke them one by one.", "Mọi phiên của bạn sẽ kết thúc trừ phiên này, cùng với các liên kết đăng nhập đang chờ. Mã truy cập và API Key vẫn hoạt động: hãy thu hồi từng cái.";
        tokens: "Access tokens", "Mã truy cập";
        tokens_about: "For the command line and the management API. They never call models: that is what API keys are for.", "Dùng cho dòng lệnh và API quản lý. Mã truy cập không gọi được mô hình: việc đó cần API Key.";
        no_tokens: "You have none.", "Bạn chưa có mã nào.";
        token_create: "Create access token", "Tạo mã truy cập";
        token_account: "Account", "Tài khoản";
        token_all: "everything, as operator", "mọi thứ, với quyền vận hành";
        token_expires: "Ends after", "Hết hạn sau";
        days: "{} days", "{} ngày";
        never: "never", "không bao giờ";
        ends: "Ends", "Hết hạn";
        created: "Created", "Tạo lúc";
        revoked: "revoked", "đã thu hồi";
        expired: "expired", "đã hết hạn";
        revoke: "Revoke", "Thu hồi";
        revoke_ask: "Revoke {}? Whatever uses it is refused from now on. This cannot be undone.", "Thu hồi {}? Mọi thứ đang dùng mã này sẽ bị từ chối ngay. Không thể hoàn tác.";
        token_made: "Your access token", "Mã truy cập của bạn";
        token_once: "Copy it now: it is not shown again.", "Hãy sao chép ngay: mã sẽ không hiển thị lại.";
        copy: "Copy", "Sao chép";
        done: "Done", "Xong";
        flash_password: "Password saved. Your other sessions have ended.", "Đã lưu mật khẩu. Các phiên khác của bạn đã kết thúc.";
        flash_password_removed: "Password removed. Your other sessions have ended.", "Đã xóa mật khẩu. Các phiên khác của bạn đã kết thúc.";
        flash_set_password: "You are signed in. To come back without a link, set a password under Profile and sign-in.", "Bạn đã đăng nhập. Để lần sau không cần liên kết, hãy đặt mật khẩu trong Hồ sơ và đăng nhập.";
        flash_session: "The session has ended.", "Phiên đã kết thúc.";
        flash_everywhere: "Signed out everywhere else.", "Đã đăng xuất ở mọi nơi khác.";
        flash_token: "The access token is revoked.", "Mã truy cập đã bị thu hồi.";
    }
}
