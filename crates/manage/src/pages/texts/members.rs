//! An account's members and invitations.

texts! {
    /// The pages of an account's members.
    Members {
        title: "Members", "Thành viên";
        about: "Who sees and manages this account. Owners do everything, members make and manage their own keys, viewers look on.", "Ai được xem và quản lý tài khoản này. Chủ sở hữu làm được mọi việc, thành viên tạo và quản lý key của mình, người xem chỉ được xem.";
        invite: "Invite", "Mời";
        name: "Name", "Tên";
        role: "Role", "Vai trò";
        action: "Action", "Thao tác";
        you: "you", "bạn";
        disabled: "disabled", "đã vô hiệu hóa";
        by_group: "by group", "theo nhóm";
        no_members: "Nobody belongs to this account yet. Invite its first owner.", "Chưa ai thuộc tài khoản này. Hãy mời chủ sở hữu đầu tiên.";
        change_role: "Change role", "Đổi vai trò";
        change_role_of: "Role of {}", "Vai trò của {}";
        group_note: "This role comes from a group of the identity provider. Changed here, it stays as you set it.", "Vai trò này đến từ một nhóm của nhà cung cấp danh tính. Nếu đổi tại đây, vai trò sẽ giữ như bạn đặt.";
        save: "Save", "Lưu";
        remove: "Remove", "Xóa khỏi tài khoản";
        remove_title: "Remove {}?", "Xóa {} khỏi tài khoản?";
        remove_what: "They see nothing of this account any more. Their access tokens here are revoked, and the API keys that they made here stop working at once.", "Người này sẽ không còn thấy gì của tài khoản. Mã truy cập của họ tại đây bị thu hồi và các API Key họ tạo ở đây ngừng hoạt động ngay.";
        remove_group: "Their role comes from a group of the identity provider: as long as they are in it, their next sign-in brings them back.", "Vai trò của họ đến từ một nhóm của nhà cung cấp danh tính: chừng nào còn trong nhóm, lần đăng nhập sau sẽ đưa họ trở lại.";
        role_changed: "Somebody gave another role meanwhile; nothing of yours was saved. Look at the list, then choose again.", "Người khác vừa đổi vai trò; thay đổi của bạn chưa được lưu. Hãy xem danh sách rồi chọn lại.";
        last_owner: "This is the account's last owner. Make somebody else an owner first.", "Đây là chủ sở hữu cuối cùng của tài khoản. Hãy chỉ định chủ sở hữu khác trước.";
        invitations: "Invitations", "Lời mời";
        no_invitations: "No open invitations.", "Không có lời mời nào đang chờ.";
        invite_title: "Invite somebody", "Mời người tham gia";
        invite_email: "E-mail", "Email";
        invite_email_hint: "Only whoever has this address can accept. Left empty: whoever opens the link first. Nothing is sent: you pass the link on.", "Chỉ người có địa chỉ này mới chấp nhận được. Để trống: ai mở liên kết trước thì được. Không có gì được gửi đi: bạn tự chuyển liên kết.";
        invite_create: "Create link", "Tạo liên kết";
        bad_email: "This is not an e-mail address.", "Đây không phải là địa chỉ email.";
        bad_role: "Choose a role.", "Hãy chọn một vai trò.";
        link_title: "Invitation link", "Liên kết mời";
        link_once: "Pass it on now: it is not shown again. It works once and ends after 7 days.", "Hãy chuyển ngay: liên kết sẽ không hiển thị lại. Liên kết dùng được một lần và hết hạn sau 7 ngày.";
        copy: "Copy", "Sao chép";
        done: "Done", "Xong";
        whom: "For", "Dành cho";
        anybody: "whoever opens the link first", "ai mở liên kết trước";
        by: "By", "Người mời";
        until: "Until", "Đến";
        status: "Status", "Trạng thái";
        open: "open", "đang chờ";
        accepted: "accepted", "đã chấp nhận";
        revoked: "taken back", "đã thu hồi";
        expired: "expired", "đã hết hạn";
        revoke: "Take back", "Thu hồi";
        revoke_title: "Take this invitation back?", "Thu hồi lời mời này?";
        revoke_what: "Its link does not work any more.", "Liên kết sẽ không dùng được nữa.";
        more: "Next page", "Trang sau";
        pages: "Pages", "Các trang";
        flash_removed: "Removed from the account.", "Đã xóa khỏi tài khoản.";
        flash_revoked: "The invitation is taken back.", "Đã thu hồi lời mời.";
        flash_joined: "You have joined the account.", "Bạn đã tham gia tài khoản.";
    }
}
