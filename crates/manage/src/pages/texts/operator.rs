//! The operator's part.

texts! {
    /// Words that the operator's pages share.
    OpCommon {
        show: "Show", "Hiển thị";
        show_all: "Show all", "Hiển thị tất cả";
        nothing_yet: "Nothing here yet", "Chưa có gì ở đây";
        nothing_found: "Nothing found", "Không tìm thấy gì";
        created: "Created", "Ngày tạo";
        save: "Save", "Lưu";
        edit: "Edit", "Sửa";
        remove: "Remove", "Xóa";
        name: "Name", "Tên";
        yes: "Yes", "Có";
        no: "No", "Không";
        pages: "Pages of this list", "Các trang của danh sách";
        first_page: "First page", "Trang đầu";
        next_page: "Next page", "Trang sau";
        asked_before: "Somebody changed this after you were asked; nothing was done. Look at it again, then confirm.", "Người khác vừa thay đổi mục này sau khi bạn mở câu hỏi; chưa có gì được thực hiện. Hãy xem lại rồi xác nhận.";
        conflict_now: "Somebody changed it meanwhile; nothing of yours was saved. It is now: {}. Check, then save again.", "Người khác vừa thay đổi mục này; thay đổi của bạn chưa được lưu. Hiện tại là: {}. Hãy kiểm tra rồi lưu lại.";
        and_more: "and {} more", "và {} mục nữa";
        in_force_one: "Done. In force on the one node that serves. Running streams that were ended: {}.", "Xong. Đã có hiệu lực trên nút duy nhất đang phục vụ. Số luồng đang chạy đã bị ngắt: {}.";
        in_force: "Done. In force everywhere: all {} nodes have confirmed. Running streams that were ended: {}.", "Xong. Đã có hiệu lực ở mọi nơi: cả {} nút đã xác nhận. Số luồng đang chạy đã bị ngắt: {}.";
        not_proven: "The change is made and spreads, but not every node has confirmed it yet. Look at the nodes; a node that does not answer is shut out when its lease ends.", "Thay đổi đã được lưu và đang lan truyền, nhưng chưa phải nút nào cũng xác nhận. Hãy xem trang Nút; nút không trả lời sẽ bị loại khi hết hạn thuê.";
    }
}

texts! {
    /// Accounts.
    OpAccounts {
        lead: "Who pays and who is billed. Keys work while the account is on a running paid plan and not suspended.", "Bên trả tiền và nhận hóa đơn. API Key hoạt động khi tài khoản có gói trả phí còn hiệu lực và không bị tạm ngưng.";
        create: "Create account", "Tạo tài khoản";
        nodes_serving: "Nodes serving", "Nút đang phục vụ";
        upstreams_healthy: "Upstreams healthy", "Máy chủ mô hình hoạt động tốt";
        requests_today: "Requests today", "Yêu cầu hôm nay";
        failed_today_one: "{} failed", "{} yêu cầu lỗi";
        failed_today: "{} failed", "{} yêu cầu lỗi";
        tokens_today: "Tokens today", "Token hôm nay";
        since_midnight: "input and output, since midnight UTC", "đầu vào và đầu ra, từ 0 giờ UTC";
        search: "Search by name or handle", "Tìm theo tên hoặc mã";
        standing: "Standing", "Tình trạng";
        any_standing: "Any", "Tất cả";
        good: "Good", "Tốt";
        without_plan: "No running paid plan", "Không có gói trả phí còn hiệu lực";
        suspended: "Suspended", "Tạm ngưng";
        lapsed: "Lapsed on", "Hết hạn ngày";
        not_paid: "not paid", "không trả phí";
        no_plan: "No plan", "Chưa có gói";
        no_plan_yet: "No plan yet", "Chưa có gói";
        plan: "Plan", "Gói dịch vụ";
        members: "Members", "Thành viên";
        keys: "Active keys", "API Key đang bật";
        none: "No account fits. Search for something else, or create one.", "Không có tài khoản nào phù hợp. Hãy tìm nội dung khác hoặc tạo mới.";
        rename: "Rename", "Đổi tên";
        resume: "Resume", "Khôi phục";
        suspend: "Suspend", "Tạm ngưng";
        runs_until: "Runs until", "Có hiệu lực đến";
        runs_on: "No end", "Không thời hạn";
        change_plan: "Change plan", "Đổi gói";
        subscribe: "Subscribe to a plan", "Đăng ký gói";
        change_plan_of: "Change the plan of {}", "Đổi gói của {}";
        subscribe_of: "Subscribe {} to a plan", "Đăng ký gói cho {}";
        lapse: "Let the plan lapse now", "Chấm dứt gói ngay";
        about: "About", "Thông tin";
        handle: "Handle", "Mã";
        goto: "Pages of this account", "Các trang của tài khoản này";
        its_keys: "Its keys", "API Key của tài khoản";
        its_usage: "Its usage", "Mức sử dụng";
        its_members: "Its members", "Thành viên";
        its_log: "Its audit log", "Nhật ký kiểm toán";
        handle_hint: "In addresses and commands: 1 to 64 of a-z, 0-9 and -. It cannot be changed later.", "Dùng trong địa chỉ và câu lệnh: 1 đến 64 ký tự a-z, 0-9 và -. Không thể đổi về sau.";
        name: "Name", "Tên";
        name_hint: "For people. Left empty: the handle.", "Tên hiển thị. Để trống: dùng mã.";
        until_field: "Runs until (UTC)", "Có hiệu lực đến (UTC)";
        until_hint: "Left empty: without end. At that moment the account's keys stop.", "Để trống: không thời hạn. Đến thời điểm đó các API Key của tài khoản sẽ ngừng hoạt động.";
        plan_hint: "Without a paid plan the account's keys stop at once, and nobody can create new ones.", "Không có gói trả phí, các API Key của tài khoản ngừng ngay và không thể tạo mới.";
        owner: "First owner (optional)", "Chủ sở hữu đầu tiên (không bắt buộc)";
        owner_hint: "A mail address or a user's ID. For an address that nobody has, a user is created; make a sign-in link on that user's page.", "Địa chỉ email hoặc ID người dùng. Nếu chưa có ai dùng email này, một người dùng mới được tạo; hãy tạo liên kết đăng nhập ở trang của người đó.";
        bad_handle: "A handle has 1 to 64 of a-z, 0-9 and -, and begins with a letter or digit.", "Mã gồm 1 đến 64 ký tự a-z, 0-9 và -, bắt đầu bằng chữ hoặc số.";
        handle_taken: "Another account has this handle.", "Mã này đã được tài khoản khác sử dụng.";
        unknown_plan: "There is no such plan (any more).", "Không có gói này (hoặc đã bị xóa).";
        bad_time: "Write a date and a time, such as 2030-01-31 12:00.", "Hãy nhập ngày và giờ, ví dụ 2030-01-31 12:00.";
        past_time: "This moment has passed. To end the plan now, use “Let the plan lapse now”.", "Thời điểm này đã qua. Để chấm dứt ngay, hãy dùng “Chấm dứt gói ngay”.";
        until_without_plan: "An end needs a plan.", "Muốn đặt thời hạn thì phải chọn gói.";
        bad_owner: "Neither a mail address nor the ID of a user who can sign in.", "Không phải địa chỉ email hay ID của người dùng còn hoạt động.";
        suspend_of: "Suspend {}?", "Tạm ngưng {}?";
        resume_of: "Resume {}?", "Khôi phục {}?";
        lapse_of: "Let the plan of {} lapse now?", "Chấm dứt gói của {} ngay bây giờ?";
        stops_key: "Its {} active key stops at once, everywhere; running streams are cut.", "{} API Key đang bật của tài khoản ngừng ngay ở mọi nơi; các luồng đang chạy bị ngắt.";
        stops_keys: "Its {} active keys stop at once, everywhere; running streams are cut.", "{} API Key đang bật của tài khoản ngừng ngay ở mọi nơi; các luồng đang chạy bị ngắt.";
        suspend_means: "Its members see that it is suspended. Resuming brings the keys back as they were.", "Thành viên sẽ thấy tài khoản bị tạm ngưng. Khi khôi phục, các API Key hoạt động lại như cũ.";
        on_leak: "Keys found in public", "API Key bị phát hiện công khai";
        on_leak_change: "Change what a leak does", "Đổi cách xử lý khi bị lộ";
        on_leak_of: "Keys of {} that are found in public", "API Key của {} bị phát hiện công khai";
        on_leak_disable: "Switched off at once", "Bị tắt ngay";
        on_leak_tell: "Go on working; people are told", "Vẫn hoạt động; chỉ thông báo";
        on_leak_hint: "Published keys are tried by strangers within minutes. Keys that were switched off already stay so.", "Key bị công khai thường bị người lạ thử dùng trong vài phút. Những key đã bị tắt vẫn giữ nguyên.";
        lapse_means: "Nothing is deleted: with a new plan the keys work again.", "Không có gì bị xóa: khi có gói mới, các API Key hoạt động lại.";
        resumes_key: "Its {} active key works again as soon as every node knows, if the plan runs.", "{} API Key đang bật sẽ hoạt động lại ngay khi mọi nút được thông báo, nếu gói còn hiệu lực.";
        resumes_keys: "Its {} active keys work again as soon as every node knows, if the plan runs.", "{} API Key đang bật sẽ hoạt động lại ngay khi mọi nút được thông báo, nếu gói còn hiệu lực.";
    }
}

texts! {
    /// Plans.
    OpPlans {
        lead: "What accounts subscribe to. Only on a paid plan do keys work.", "Những gói mà tài khoản đăng ký. API Key chỉ hoạt động khi có gói trả phí.";
        create: "Create plan", "Tạo gói";
        code: "Code", "Mã gói";
        code_hint: "In commands: 1 to 64 of a-z, 0-9 and -. It cannot be changed later.", "Dùng trong câu lệnh: 1 đến 64 ký tự a-z, 0-9 và -. Không thể đổi về sau.";
        name_hint: "For people. Left empty: the code.", "Tên hiển thị. Để trống: dùng mã gói.";
        paid: "Paid", "Trả phí";
        paid_box: "A paid plan: its accounts may create and use keys", "Gói trả phí: tài khoản được tạo và sử dụng API Key";
        paid_hint: "Taken away, the keys of all accounts on this plan stop at once.", "Nếu bỏ chọn, API Key của mọi tài khoản dùng gói này ngừng ngay.";
        accounts: "Accounts", "Tài khoản";
        none: "Without a plan no account can have keys. Create the first one.", "Không có gói thì không tài khoản nào có API Key. Hãy tạo gói đầu tiên.";
        edit_of: "Edit the plan {}", "Sửa gói {}";
        remove_of: "Remove the plan {}?", "Xóa gói {}?";
        remove_means: "No account is on it. Nothing else changes.", "Không có tài khoản nào dùng gói này. Không có gì khác thay đổi.";
        in_use_one: "{} account is on this plan: give it another one first.", "{} tài khoản đang dùng gói này: hãy chuyển sang gói khác trước.";
        in_use: "{} accounts are on this plan: give them another one first.", "{} tài khoản đang dùng gói này: hãy chuyển sang gói khác trước.";
        bad_code: "A code has 1 to 64 of a-z, 0-9 and -, and begins with a letter or digit.", "Mã gói gồm 1 đến 64 ký tự a-z, 0-9 và -, bắt đầu bằng chữ hoặc số.";
        code_taken: "Another plan has this code.", "Mã này đã được gói khác sử dụng.";
        unpaid_stops: "{} accounts with {} active keys are on this plan: those keys stop at once.", "{} tài khoản với {} API Key đang bật dùng gói này: các API Key đó sẽ ngừng ngay.";
        confirm_unpaid: "Yes, stop the keys of all accounts on this plan", "Đồng ý ngừng API Key của mọi tài khoản dùng gói này";
    }
}

texts! {
    /// Nodes.
    OpNodes {
        lead: "Each running process. A node serves only while it holds a lease, so that a revoked key is refused everywhere.", "Mỗi tiến trình đang chạy. Nút chỉ phục vụ khi còn giữ quyền thuê, nhờ vậy API Key đã thu hồi bị từ chối ở mọi nơi.";
        pause: "Pause updates", "Tạm dừng cập nhật";
        go_on: "Go on updating", "Tiếp tục cập nhật";
        paused: "paused", "đã tạm dừng";
        as_of: "As of", "Tính đến";
        none_serves: "No node serves. Start one with tollgate serve; its log says what keeps it from serving.", "Không có nút nào phục vụ. Hãy khởi động bằng tollgate serve; nhật ký của nút cho biết nguyên nhân.";
        serving: "Serving", "Đang phục vụ";
        troubled: "Serving, needs a look", "Đang phục vụ, cần kiểm tra";
        gone: "Gone", "Đã dừng";
        version: "Version", "Phiên bản";
        joined: "Joined", "Tham gia lúc";
        epoch: "epoch", "lần thứ";
        renewed: "Last renewed", "Gia hạn gần nhất";
        lease: "Lease valid until", "Quyền thuê đến";
        lease_whole: "as long as the process runs (one node, SQLite)", "cho đến khi tiến trình dừng (một nút, SQLite)";
        changes: "Changes applied / all", "Thay đổi đã áp dụng / tất cả";
        current: "up to date", "mới nhất";
        lost: "{} records of journals could not be read, so at most as many requests are in nobody's usage. Look at the disks of the nodes; tollgate doctor and their logs say more.", "Không đọc được {} bản ghi của nhật ký sử dụng, nên có thể thiếu nhiều nhất bấy nhiêu yêu cầu trong số liệu sử dụng. Hãy kiểm tra đĩa của các nút; tollgate doctor và nhật ký của chúng cho biết thêm.";
        lost_last: "Last noticed", "Phát hiện lần cuối";
        journal: "Journal not yet counted", "Nhật ký sử dụng chưa tính";
        complete: "Usage complete until", "Số liệu đầy đủ đến";
        nothing_said: "nothing said yet", "chưa có thông tin";
        gone_why: "It has stopped or lost its lease: no request is served by it. If this was not meant, look at its log and start it again; it stays listed for a day.", "Nút đã dừng hoặc mất quyền thuê: nút không phục vụ yêu cầu nào. Nếu ngoài ý muốn, hãy xem nhật ký và khởi động lại; nút còn hiện ở đây trong một ngày.";
        uncounted_why: "It has stopped or lost its lease, and requests that it began are not counted: at least {}, at most {}. Start it again with its journal directory, and they are counted by themselves. Until then usage is complete only up to what it last said.", "Nút đã dừng hoặc mất quyền thuê, và còn yêu cầu chưa được tính: ít nhất {}, nhiều nhất {}. Hãy khởi động lại nút với thư mục nhật ký sử dụng của nó, các yêu cầu đó sẽ tự được tính. Cho đến khi đó, số liệu sử dụng chỉ đầy đủ đến thời điểm nút báo lần cuối.";
        written_off_why: "What it had not counted was written off: at least {} and at most {} requests are in nobody's usage.", "Phần nút chưa tính đã được ghi nhận là mất: ít nhất {} và nhiều nhất {} yêu cầu không nằm trong số liệu sử dụng của ai.";
        write_off: "Write off", "Ghi nhận mất";
        write_off_of: "Write off what {} has not counted?", "Ghi nhận mất phần {} chưa tính?";
        write_off_means: "Do this only if its disk is lost. At least {} and at most {} requests will be in nobody's usage, and usage counts as complete again.", "Chỉ làm việc này khi đĩa của nút đã mất. Ít nhất {} và nhiều nhất {} yêu cầu sẽ không nằm trong số liệu sử dụng của ai, và số liệu lại được coi là đầy đủ.";
        write_off_later: "Should the disk turn up after all, start a node with its journal directory: what is on it is counted.", "Nếu sau này tìm lại được đĩa, hãy khởi động một nút với thư mục nhật ký đó: phần còn trên đĩa sẽ được tính.";
        write_off_nothing: "There is nothing to write off: the node serves, or everything that it has begun is counted or written off.", "Không có gì để ghi nhận mất: nút đang phục vụ, hoặc mọi thứ nút đã nhận đều đã được tính hay ghi nhận.";
        silent_why: "It has not renewed its lease for some seconds. Check that the machine runs and reaches the store; it stops serving by itself before the lease ends.", "Nút chưa gia hạn quyền thuê trong vài giây. Hãy kiểm tra máy còn chạy và kết nối được kho dữ liệu; nút sẽ tự ngừng phục vụ trước khi hết hạn.";
        behind_why: "It has yet to apply {} changes. This passes within a second; if it stays, look at the node's log.", "Nút còn {} thay đổi chưa áp dụng. Thường hết trong một giây; nếu kéo dài, hãy xem nhật ký của nút.";
        late_why: "Its usage is not being counted: nothing is lost, it waits in the journal. Check the store and the node's log.", "Số liệu sử dụng chưa được tính: không mất gì, dữ liệu chờ trong nhật ký. Hãy kiểm tra kho dữ liệu và nhật ký của nút.";
        journal_why: "Its journal has grown to {}. At its limit the node refuses requests rather than serve uncounted ones: check the store soon.", "Nhật ký đã lớn đến {}. Khi đầy, nút sẽ từ chối yêu cầu thay vì phục vụ mà không tính: hãy kiểm tra kho dữ liệu sớm.";
    }
}

texts! {
    /// Users.
    OpUsers {
        lead: "People and programs that manage. What each may do in an account is its role there.", "Người và chương trình quản lý. Quyền trong mỗi tài khoản tùy theo vai trò ở đó.";
        create: "Create user", "Tạo người dùng";
        search: "Search by name or e-mail", "Tìm theo tên hoặc email";
        none: "Nobody fits. Search for something else, or create a user.", "Không có ai phù hợp. Hãy tìm nội dung khác hoặc tạo người dùng.";
        email: "E-mail", "Email";
        email_hint: "For signing in by password or identity provider. May be left empty.", "Dùng để đăng nhập bằng mật khẩu hoặc nhà cung cấp danh tính. Có thể để trống.";
        accounts: "Accounts", "Tài khoản";
        state: "State", "Trạng thái";
        operator: "Operator", "Vận hành";
        operator_box: "Operator of this deployment", "Vận hành hệ thống này";
        operator_hint: "Sees and changes everything, in every account.", "Xem và thay đổi được mọi thứ, trong mọi tài khoản.";
        active: "Active", "Hoạt động";
        disabled: "Disabled", "Đã vô hiệu hóa";
        enable: "Enable", "Kích hoạt";
        disable: "Disable", "Vô hiệu hóa";
        about: "About", "Thông tin";
        what_it_did: "What this user did", "Những việc người này đã làm";
        no_accounts: "Belongs to no account.", "Không thuộc tài khoản nào.";
        change_membership: "Change accounts and roles", "Đổi tài khoản và vai trò";
        edit_of: "Edit {}", "Sửa {}";
        membership_of: "Account and role of {}", "Tài khoản và vai trò của {}";
        account_field: "Account (handle)", "Tài khoản (mã)";
        account_hint: "One that the user belongs to, or a new one.", "Tài khoản hiện có của người dùng hoặc tài khoản mới.";
        role: "Role there", "Vai trò";
        role_none: "none: take out of the account", "không: đưa ra khỏi tài khoản";
        bad_email: "This is not a mail address.", "Đây không phải địa chỉ email.";
        email_taken: "Another user has this mail address.", "Email này đã có người dùng khác sử dụng.";
        unknown_account: "There is no account of this handle.", "Không có tài khoản với mã này.";
        made_before: "A user was made with this form already: look at the list. Press the button again only if you want another one.", "Biểu mẫu này đã tạo một người dùng: hãy xem danh sách. Chỉ bấm lại nút nếu bạn muốn tạo thêm người khác.";
        last_operator: "This is the last operator: make another one first.", "Đây là người vận hành cuối cùng: hãy chỉ định người khác trước.";
        disable_of: "Disable {}?", "Vô hiệu hóa {}?";
        enable_of: "Enable {}?", "Kích hoạt {}?";
        disable_stops: "This stops at once, everywhere: {} active keys that this user made, {} access tokens, {} sessions.", "Ngừng ngay ở mọi nơi: {} API Key đang bật do người này tạo, {} mã truy cập, {} phiên đăng nhập.";
        disable_means: "Enabling brings keys and tokens back; sessions are over for good.", "Khi kích hoạt lại, API Key và mã truy cập hoạt động lại; các phiên đăng nhập thì không.";
        enable_means: "The user can sign in again, and {} keys work again.", "Người dùng đăng nhập lại được và {} API Key hoạt động lại.";
        link_title: "Sign-in link", "Liên kết đăng nhập";
        link_hint: "Signs this user in once, within a day. Send it over a channel that only this user reads.", "Đăng nhập một lần cho người này, trong vòng một ngày. Hãy gửi qua kênh chỉ người này đọc được.";
        link_make: "Make a sign-in link", "Tạo liên kết đăng nhập";
        link_once: "It is shown this once. Whoever opens it first is signed in as this user.", "Liên kết chỉ hiển thị một lần. Ai mở trước sẽ đăng nhập với tư cách người này.";
        copy: "Copy", "Sao chép";
        done: "Done", "Xong";
    }
}

texts! {
    /// Upstreams.
    OpUpstreams {
        lead: "Servers that models run on. Requests go to healthy ones, by weight.", "Máy chủ chạy mô hình. Yêu cầu được gửi đến máy chủ hoạt động tốt, theo trọng số.";
        create: "Add upstream", "Thêm máy chủ";
        none: "Requests need a server to go to. Add the first one.", "Yêu cầu cần có máy chủ để gửi đến. Hãy thêm máy chủ đầu tiên.";
        base_url: "Base URL", "URL gốc";
        engine: "Engine", "Phần mềm";
        health: "Health", "Tình trạng";
        models: "Models served", "Mô hình phục vụ";
        since: "since", "từ";
        off: "Switched off", "Đã tắt";
        unknown: "Not known yet", "Chưa rõ";
        healthy: "Healthy", "Hoạt động tốt";
        ill: "Not answering", "Không phản hồi";
        about: "About", "Thông tin";
        client_gone: "When a client hangs up", "Khi máy khách ngắt kết nối";
        cancel_means: "cancel: stop the upstream", "cancel: dừng xử lý ở máy chủ";
        drain_means: "drain: read on for the usage", "drain: đọc tiếp để tính mức sử dụng";
        credential: "Credential", "Thông tin xác thực";
        set: "set", "đã đặt";
        not_set: "not set", "chưa đặt";
        keep: "Leave it as it is", "Giữ nguyên";
        replace: "Set the one below", "Đặt giá trị bên dưới";
        take_away: "Remove it", "Xóa";
        credential_field: "New credential", "Thông tin xác thực mới";
        credential_hint: "Kept encrypted and never shown again, also not when this form comes back: then type it once more.", "Được lưu mã hóa và không bao giờ hiển thị lại, kể cả khi biểu mẫu này quay lại: khi đó hãy nhập lại.";
        bad_credential: "A credential has 1 to 8192 visible ASCII characters, without blanks.", "Thông tin xác thực gồm 1 đến 8192 ký tự ASCII nhìn thấy được, không có khoảng trắng.";
        checked: "Last looked at", "Kiểm tra gần nhất";
        last_error: "Last error", "Lỗi gần nhất";
        serves_none: "It serves no model: name it on a model's page.", "Máy chủ chưa phục vụ mô hình nào: hãy chọn ở trang mô hình.";
        there: "Its name there", "Tên ở máy chủ";
        weight: "Weight", "Trọng số";
        name_hint: "1 to 64 of A-Z, a-z, 0-9, - _ and dot. It cannot be changed later.", "1 đến 64 ký tự A-Z, a-z, 0-9, - _ và dấu chấm. Không thể đổi về sau.";
        url_hint: "What stands before /chat/completions: http://10.0.0.5:8000/v1", "Phần đứng trước /chat/completions: http://10.0.0.5:8000/v1";
        enabled_box: "Requests may go there", "Cho phép gửi yêu cầu đến";
        edit_of: "Edit the upstream {}", "Sửa máy chủ {}";
        bad_name: "A name has 1 to 64 of A-Z, a-z, 0-9, - _ and dot, and begins with a letter or digit.", "Tên gồm 1 đến 64 ký tự A-Z, a-z, 0-9, - _ và dấu chấm, bắt đầu bằng chữ hoặc số.";
        name_taken: "Another upstream has this name.", "Tên này đã được máy chủ khác sử dụng.";
        bad_url: "A base URL is http:// or https://, a host, and perhaps a port and a path: no user, query or fragment.", "URL gốc gồm http:// hoặc https://, tên máy, có thể thêm cổng và đường dẫn: không có người dùng, truy vấn hay phân mảnh.";
        remove_of: "Remove the upstream {}?", "Xóa máy chủ {}?";
        remove_means: "It serves no model. Its usage stays; its credential is deleted.", "Máy chủ không phục vụ mô hình nào. Số liệu sử dụng được giữ lại; thông tin xác thực bị xóa.";
        in_use: "It still serves these models: take it out of them first.", "Máy chủ vẫn phục vụ các mô hình sau: hãy gỡ khỏi các mô hình đó trước.";
        test: "Test", "Kiểm tra";
        test_result: "Test, just now", "Kết quả kiểm tra";
        took: "Took", "Thời gian";
        status: "Status", "Mã trạng thái";
        lists: "Models that it lists", "Số mô hình máy chủ liệt kê";
        listed: "Ours that it lists", "Mô hình của ta có trong danh sách";
        missing: "Ours that it lacks", "Mô hình của ta bị thiếu";
        test_good: "It answers and lists what the catalogue asks it for.", "Máy chủ phản hồi và liệt kê đủ các mô hình trong danh mục.";
        test_missing: "It answers, but does not list all that the catalogue asks it for.", "Máy chủ phản hồi nhưng không liệt kê đủ các mô hình trong danh mục.";
        advice_missing: "Load that model there, or correct its name in the catalogue.", "Hãy nạp mô hình đó trên máy chủ, hoặc sửa tên trong danh mục.";
        test_no_list: "It answers, but lists no models.", "Máy chủ phản hồi nhưng không liệt kê mô hình.";
        advice_no_list: "Nothing to do if it is a server without GET models; else correct its base URL.", "Không cần làm gì nếu máy chủ không có GET models; nếu không, hãy sửa URL gốc.";
        test_refused: "It refuses our credential.", "Máy chủ từ chối thông tin xác thực.";
        advice_refused: "Set a valid credential.", "Hãy đặt thông tin xác thực hợp lệ.";
        test_redirected: "It sends elsewhere; redirects are not followed.", "Máy chủ chuyển hướng; chuyển hướng không được đi theo.";
        advice_redirected: "Set the base URL to where it sends.", "Hãy đặt URL gốc thành địa chỉ đích.";
        test_server: "It answers with a fault of its own.", "Máy chủ báo lỗi nội bộ.";
        advice_server: "Look at that server's log.", "Hãy xem nhật ký của máy chủ đó.";
        test_unreachable: "Nothing answers there.", "Không có phản hồi.";
        advice_unreachable: "Start it, correct its base URL, or let this machine reach it.", "Hãy khởi động máy chủ, sửa URL gốc, hoặc mở đường mạng từ máy này.";
        test_unreadable: "Its credential was sealed under another master key.", "Thông tin xác thực được mã hóa bằng khóa chủ khác.";
    }
}

texts! {
    /// The catalogue.
    OpModels {
        lead: "What customers may call, what it costs, and which upstreams serve it.", "Những mô hình khách hàng được gọi, giá và máy chủ phục vụ.";
        create: "Add model", "Thêm mô hình";
        none: "Customers need a model to call. Add the first one.", "Khách hàng cần có mô hình để gọi. Hãy thêm mô hình đầu tiên.";
        kind: "Kind", "Loại";
        kind_chat: "Chat", "Hội thoại";
        kind_embedding: "Embedding", "Vector nhúng";
        kind_rerank: "Rerank", "Xếp hạng lại";
        kind_transcription: "Transcription", "Giọng nói thành văn bản";
        kind_speech: "Speech", "Văn bản thành giọng nói";
        kind_image: "Image", "Hình ảnh";
        price: "Price", "Giá";
        free: "free", "miễn phí";
        per_input: "/ 1M input tokens", "/ 1 triệu token đầu vào";
        per_output: "/ 1M output tokens", "/ 1 triệu token đầu ra";
        per_cached: "/ 1M cached input tokens", "/ 1 triệu token đầu vào từ bộ nhớ đệm";
        per_image: "/ 1M images", "/ 1 triệu hình ảnh";
        per_second: "/ 1M seconds of audio", "/ 1 triệu giây âm thanh";
        price_hint: "Decimal figures such as 0.50; left empty: nothing, cached input as much as other input. They count for requests that begin from now on.", "Số thập phân như 0.50; để trống: miễn phí, riêng đầu vào từ bộ nhớ đệm tính như đầu vào thường. Áp dụng cho các yêu cầu bắt đầu từ bây giờ.";
        currency: "Currency", "Tiền tệ";
        served_by: "Served by", "Phục vụ bởi";
        served_hint: "Requests are shared by weight; weight 0 serves only when no other is healthy. An empty name there: the same name.", "Yêu cầu được chia theo trọng số; trọng số 0 chỉ phục vụ khi không còn máy chủ nào tốt. Để trống tên ở máy chủ: dùng cùng tên.";
        nobody: "nobody", "chưa có";
        context: "Context window (tokens)", "Cửa sổ ngữ cảnh (token)";
        context_hint: "Input and output together; left empty: not told.", "Tổng đầu vào và đầu ra; để trống: không công bố.";
        max_output: "Most output tokens", "Số token đầu ra tối đa";
        title: "Name for people (optional)", "Tên hiển thị (không bắt buộc)";
        name_hint: "What clients send as model, such as qwen3-32b. It cannot be changed later.", "Giá trị model mà máy khách gửi, ví dụ qwen3-32b. Không thể đổi về sau.";
        upstream: "Upstream", "Máy chủ";
        there: "Its name there", "Tên ở máy chủ";
        weight: "Weight", "Trọng số";
        add_upstream: "Add another upstream", "Thêm máy chủ";
        edit_of: "Edit the model {}", "Sửa mô hình {}";
        remove_of: "Remove the model {}?", "Xóa mô hình {}?";
        remove_means: "It is refused at once, everywhere; running streams are cut. Its usage stays.", "Mô hình bị từ chối ngay ở mọi nơi; các luồng đang chạy bị ngắt. Số liệu sử dụng được giữ lại.";
        no_key_names_it: "No key names it; keys for all models lose it too.", "Không có API Key nào nêu tên mô hình này; API Key dùng mọi mô hình cũng mất mô hình này.";
        key_names_it: "{} key names it and loses it for good, also if a model of this name is added again:", "{} API Key nêu tên mô hình này và mất hẳn quyền dùng, kể cả khi thêm lại mô hình cùng tên:";
        keys_name_it: "{} keys name it and lose it for good, also if a model of this name is added again:", "{} API Key nêu tên mô hình này và mất hẳn quyền dùng, kể cả khi thêm lại mô hình cùng tên:";
        bad_name: "A name has 1 to 128 of A-Z a-z 0-9 - _ . : / @ + and begins with a letter or digit.", "Tên gồm 1 đến 128 ký tự A-Z a-z 0-9 - _ . : / @ + và bắt đầu bằng chữ hoặc số.";
        name_taken: "Another model has this name.", "Tên này đã được mô hình khác sử dụng.";
        bad_tokens: "A whole number above 0.", "Một số nguyên lớn hơn 0.";
        bad_price: "A decimal figure such as 0.50, without a sign.", "Một số thập phân như 0.50, không có dấu.";
        bad_currency: "Three letters, such as USD.", "Ba chữ cái, ví dụ USD.";
        served_twice: "The same upstream with the same model is in row {} already.", "Máy chủ này với cùng mô hình đã có ở dòng {}.";
        served_nowhere: "Choose an upstream, or remove the row.", "Hãy chọn một máy chủ hoặc xóa dòng này.";
        bad_weight: "A weight is a whole number from 0 to 1000000.", "Trọng số là số nguyên từ 0 đến 1000000.";
        bad_there: "This is no model's name: leave it empty for the same name.", "Đây không phải tên mô hình: để trống nếu dùng cùng tên.";
        bad_served: "Each row names an upstream, perhaps a model there, and a weight of 0 to 1000000; no row is there twice.", "Mỗi dòng gồm một máy chủ, có thể có tên mô hình ở đó, và trọng số từ 0 đến 1000000; không có dòng trùng lặp.";
    }
}
