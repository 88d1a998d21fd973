//! What stands around every page.

texts! {
    /// Header, navigation, buttons and words that many pages use.
    Common {
        skip: "Skip to content", "Chuyển đến nội dung";
        account_menu: "Account menu", "Trình đơn tài khoản";
        my_account: "My Account", "Tài khoản của tôi";
        api_keys: "My API Keys", "API Key của tôi";
        usage: "My usage", "Mức sử dụng của tôi";
        models: "Models", "Mô hình";
        members: "Members", "Thành viên";
        webhooks: "Webhooks", "Webhook";
        activity: "Activity", "Nhật ký hoạt động";
        profile: "Profile and sign-in", "Hồ sơ và đăng nhập";
        operator: "Operator", "Vận hành";
        op_accounts: "Accounts", "Tài khoản";
        op_plans: "Plans", "Gói dịch vụ";
        op_models: "Model catalogue", "Danh mục mô hình";
        op_upstreams: "Upstreams", "Máy chủ mô hình";
        op_users: "Users", "Người dùng";
        op_usage: "Usage by account", "Mức sử dụng theo tài khoản";
        op_audit: "Audit log", "Nhật ký kiểm toán";
        op_nodes: "Nodes", "Nút";
        sections: "Sections", "Các mục";
        account: "Account", "Tài khoản";
        switch_account: "Switch account", "Đổi tài khoản";
        docs: "Docs", "Tài liệu";
        read_how: "Read how it works", "Xem hướng dẫn";
        sign_out: "Sign out", "Đăng xuất";
        language: "Language", "Ngôn ngữ";
        theme: "Theme", "Giao diện";
        theme_auto: "As the device", "Theo thiết bị";
        theme_light: "Light", "Sáng";
        theme_dark: "Dark", "Tối";
        plan_missing: "Subscribe to a paid plan to create and use API keys, or", "Hãy đăng ký gói trả phí để tạo và sử dụng API Key, hoặc";
        plan_missing_ask: "Subscribe to a paid plan to create and use API keys: ask the operator of this service.", "Hãy đăng ký gói trả phí để tạo và sử dụng API Key: hãy hỏi đơn vị vận hành dịch vụ này.";
        contact_us: "contact us", "liên hệ với chúng tôi";
        suspended: "This account is suspended: its keys are refused. Find out why:", "Tài khoản này đang bị tạm ngưng: các API Key của tài khoản bị từ chối. Để biết lý do:";
        suspended_ask: "This account is suspended: its keys are refused. Ask the operator of this service why.", "Tài khoản này đang bị tạm ngưng: các API Key của tài khoản bị từ chối. Hãy hỏi đơn vị vận hành dịch vụ này.";
        done_saved: "Saved.", "Đã lưu.";
        working: "Working…", "Đang xử lý…";
        unreachable: "The service cannot be reached, so it is not certain whether this was done. Check your connection, then try again.", "Không kết nối được dịch vụ nên chưa rõ thao tác đã được thực hiện hay chưa. Hãy kiểm tra kết nối rồi thử lại.";
        marked: "Marked: press Ctrl+C or ⌘C", "Đã chọn: nhấn Ctrl+C hoặc ⌘C";
        copied: "Copied", "Đã sao chép";
        cancel: "Cancel", "Hủy";
        role_owner: "owner", "chủ sở hữu";
        role_member: "member", "thành viên";
        role_viewer: "viewer", "người xem";
        no_account_title: "You belong to no account yet", "Bạn chưa thuộc tài khoản nào";
        no_account: "Ask an account's owner for an invitation, or the operator of this service.", "Hãy xin lời mời từ chủ sở hữu một tài khoản, hoặc hỏi đơn vị vận hành dịch vụ này.";
    }
}
