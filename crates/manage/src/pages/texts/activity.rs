//! The audit log: sentences for what was done.

texts! {
    /// The audit log, of the deployment and of an account.
    Audit {
        lead: "Who did what, and when. Nothing in it is ever changed or removed by hand.", "Ai đã làm gì và khi nào. Không mục nào bị sửa hoặc xóa bằng tay.";
        account_lead: "Who did what to this account's keys and members, and when.", "Ai đã làm gì với API Key và thành viên của tài khoản này, khi nào.";
        filter_actor: "Who (user ID or e-mail)", "Ai (ID người dùng hoặc email)";
        filter_action: "What", "Việc gì";
        filter_subject: "About (ID)", "Đối tượng (ID)";
        from: "From (UTC)", "Từ (UTC)";
        to: "To (UTC)", "Đến (UTC)";
        anything: "Anything", "Tất cả";
        when: "When", "Khi nào";
        who: "Who", "Ai";
        what: "What", "Việc gì";
        where_from: "From where", "Từ đâu";
        details: "Details", "Chi tiết";
        check_filter: "Something in the filter is not right: see what is said beside the field.", "Bộ lọc có chỗ chưa đúng: hãy xem thông báo bên cạnh trường.";
        none: "Nothing was recorded that fits. Widen the filter.", "Không có mục nào phù hợp. Hãy mở rộng bộ lọc.";
        program: "the program ({})", "chương trình ({})";
        somebody: "somebody who is gone", "người dùng không còn tồn tại";
        by_token: "by access token", "bằng mã truy cập";
        all_keys: "API keys", "API Key";
        all_members: "Members", "Thành viên";
        all_invitations: "Invitations", "Lời mời";
        all_accounts: "Accounts", "Tài khoản";
        all_users: "Users", "Người dùng";
        all_plans: "Plans", "Gói dịch vụ";
        all_models: "Models", "Mô hình";
        all_upstreams: "Upstreams", "Máy chủ mô hình";
        all_tokens: "Access tokens", "Mã truy cập";
        all_sessions: "Sign-in", "Đăng nhập";
        key_create: "created the API key {}", "đã tạo API Key {}";
        key_edit: "edited the API key {}", "đã sửa API Key {}";
        key_revoke: "revoked the API key {}", "đã thu hồi API Key {}";
        key_disable: "disabled the API key {}", "đã tắt API Key {}";
        key_enable: "enabled the API key {}", "đã bật API Key {}";
        key_rotate: "rotated the API key {}", "đã đổi mã của API Key {}";
        key_leak: "reported the API key {} as leaked", "đã báo API Key {} bị lộ";
        key_leak_told: "reported the API key {} as leaked; it goes on working", "đã báo API Key {} bị lộ; key vẫn hoạt động";
        token_leak: "reported the access token {} as leaked", "đã báo mã truy cập {} bị lộ";
        all_leaks: "API keys found in public", "API Key bị phát hiện công khai";
        account_create: "created the account {}", "đã tạo tài khoản {}";
        account_edit: "edited the account {}", "đã sửa tài khoản {}";
        account_suspend: "suspended the account {}", "đã tạm ngưng tài khoản {}";
        account_resume: "resumed the account {}", "đã khôi phục tài khoản {}";
        account_plan: "changed the plan of the account {}", "đã đổi gói của tài khoản {}";
        member_edit: "changed the role of {}", "đã đổi vai trò của {}";
        member_remove: "took {} out of the account", "đã đưa {} ra khỏi tài khoản";
        invitation_create: "made an invitation", "đã tạo lời mời";
        invitation_revoke: "took an invitation back", "đã hủy lời mời";
        invitation_accept: "accepted an invitation", "đã chấp nhận lời mời";
        user_create: "created the user {}", "đã tạo người dùng {}";
        user_edit: "edited the user {}", "đã sửa người dùng {}";
        user_disable: "disabled the user {}", "đã vô hiệu hóa người dùng {}";
        user_enable: "enabled the user {}", "đã kích hoạt người dùng {}";
        link_create: "made a sign-in link for {}", "đã tạo liên kết đăng nhập cho {}";
        session_create: "signed in", "đã đăng nhập";
        session_end: "signed out", "đã đăng xuất";
        session_revoke: "ended sessions of {}", "đã kết thúc phiên của {}";
        password_set: "set the password of {}", "đã đặt mật khẩu của {}";
        password_remove: "removed the password of {}", "đã xóa mật khẩu của {}";
        identity_link: "signed in through the identity provider for the first time", "đã đăng nhập lần đầu qua nhà cung cấp danh tính";
        token_create: "made an access token", "đã tạo mã truy cập";
        token_revoke: "revoked an access token", "đã thu hồi mã truy cập";
        plan_create: "created the plan {}", "đã tạo gói {}";
        plan_edit: "edited the plan {}", "đã sửa gói {}";
        plan_remove: "removed the plan {}", "đã xóa gói {}";
        model_create: "added the model {}", "đã thêm mô hình {}";
        model_edit: "edited the model {}", "đã sửa mô hình {}";
        model_remove: "removed the model {}", "đã xóa mô hình {}";
        upstream_create: "added the upstream {}", "đã thêm máy chủ {}";
        upstream_edit: "edited the upstream {}", "đã sửa máy chủ {}";
        upstream_remove: "removed the upstream {}", "đã xóa máy chủ {}";
    }
}
