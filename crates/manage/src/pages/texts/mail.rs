//! What is mailed to people, and why a delivery failed, in words.

use tollgate_core::notice::{DeliveryProblem, LeakSource};

use super::{Lang, fill};

texts! {
    /// Mails.
    Mail {
        hello: "Hello {},", "Xin chào {},";
        subject_leaked: "API key “{}” was found in public and is disabled", "API Key “{}” bị lộ công khai và đã bị vô hiệu hóa";
        subject_leaked_alive: "API key “{}” was found in public and still works", "API Key “{}” bị lộ công khai và vẫn đang hoạt động";
        subject_leaked_many: "{} API keys were found in public", "{} API Key bị lộ công khai";
        lead_leaked: "An API key of the account “{}” was found in public, where anybody can read it.", "Một API Key của tài khoản “{}” đã bị phát hiện ở nơi công khai, nơi bất kỳ ai cũng đọc được.";
        lead_leaked_many: "{} API keys were found in public, where anybody can read them.", "{} API Key đã bị phát hiện ở nơi công khai, nơi bất kỳ ai cũng đọc được.";
        key: "API key", "API Key";
        account: "Account", "Tài khoản";
        found_at: "Found at", "Nơi phát hiện";
        found_nowhere: "the report does not say", "báo cáo không nêu";
        reported_by: "Reported by", "Nguồn báo";
        reported_at: "Reported at", "Thời điểm báo";
        state: "State", "Trạng thái";
        dead: "Disabled. No request with it is accepted any more.", "Đã vô hiệu hóa. Mọi yêu cầu dùng key này đều bị từ chối.";
        alive: "It still works: this account is set to be told only.", "Vẫn hoạt động: tài khoản này được đặt là chỉ thông báo.";
        and_more: "And {} more.", "Và {} key khác.";
        what_to_do: "What to do", "Việc cần làm";
        do_disable: "Disable or revoke the key now. Whoever found it can use it until then.", "Hãy vô hiệu hóa hoặc thu hồi key ngay. Cho đến lúc đó, ai tìm thấy key đều dùng được.";
        do_replace: "Create a new API key and put it in the place of this one: programs that still use this one are refused.", "Tạo API Key mới và thay cho key này: chương trình còn dùng key này sẽ bị từ chối.";
        do_take_out: "Take the key out of the place where it was found, out of its history too.", "Gỡ key khỏi nơi bị phát hiện, kể cả trong lịch sử thay đổi.";
        do_look: "Look at the account's usage for requests that were not yours.", "Kiểm tra mức sử dụng của tài khoản xem có yêu cầu nào không phải của bạn.";
        wrong_report: "If the report was wrong, an owner of the account can bring the key back on its page.", "Nếu báo nhầm, chủ sở hữu tài khoản có thể khôi phục key tại trang của key.";
        see_key: "See the key", "Xem key";
        see_keys: "See the keys", "Xem các key";
        subject_token: "Access token “{}” was found in public and is revoked", "Mã truy cập “{}” bị lộ công khai và đã bị thu hồi";
        subject_token_many: "{} access tokens were found in public and are revoked", "{} mã truy cập bị lộ công khai và đã bị thu hồi";
        lead_token: "An access token, which manages keys and accounts, was found in public, where anybody can read it.", "Một mã truy cập, dùng để quản lý key và tài khoản, đã bị phát hiện ở nơi công khai, nơi bất kỳ ai cũng đọc được.";
        lead_token_many: "{} access tokens, which manage keys and accounts, were found in public, where anybody can read them.", "{} mã truy cập, dùng để quản lý key và tài khoản, đã bị phát hiện ở nơi công khai, nơi bất kỳ ai cũng đọc được.";
        token: "Access token", "Mã truy cập";
        all_accounts: "all (an operator's token)", "tất cả (mã của đơn vị vận hành)";
        token_dead: "Revoked. Nothing can be done with it any more.", "Đã thu hồi. Không thể dùng mã này làm gì nữa.";
        do_new_token: "Create a new access token on your profile page, if a program still needs one.", "Tạo mã truy cập mới tại trang hồ sơ nếu chương trình vẫn cần.";
        do_take_token_out: "Take the token out of the place where it was found, out of its history too.", "Gỡ mã khỏi nơi bị phát hiện, kể cả trong lịch sử thay đổi.";
        do_look_activity: "Look at the activity log for changes that were not yours.", "Kiểm tra nhật ký hoạt động xem có thay đổi nào không phải của bạn.";
        see_profile: "See your access tokens", "Xem mã truy cập của bạn";
        subject_webhook: "Webhook “{}” was switched off", "Webhook “{}” đã bị tắt";
        lead_webhook: "Nothing is sent to this webhook any more, since every attempt has failed.", "Không còn gì được gửi tới webhook này nữa vì mọi lần gửi đều thất bại.";
        webhook: "Webhook", "Webhook";
        of_deployment: "all (a webhook of the operator)", "tất cả (webhook của đơn vị vận hành)";
        failing_since: "Failing since", "Thất bại từ";
        last_failure: "Last failure", "Lỗi gần nhất";
        do_mend: "Mend the endpoint, send it a test from its page, then switch it on again.", "Sửa điểm nhận, gửi thử từ trang của webhook, rồi bật lại.";
        do_resend: "What it has missed stands in its delivery log, and can be sent again from there.", "Những gì bị lỡ nằm trong nhật ký gửi và có thể gửi lại từ đó.";
        see_webhook: "See the webhook", "Xem webhook";
        subject_test: "This is a test", "Đây là thư thử";
        lead_test: "Mail from this service reaches you. Nothing has happened, and there is nothing to do.", "Thư từ dịch vụ này đã đến được bạn. Không có sự cố nào và bạn không cần làm gì.";
        why: "You get this mail since you own or run what it is about. It was written by a program: nobody reads an answer.", "Bạn nhận được thư này vì bạn sở hữu hoặc vận hành đối tượng được nhắc tới. Thư do chương trình soạn: không ai đọc thư trả lời.";
        by_public: "somebody who holds it", "một người đang có key";
        by_api: "an operator or owner", "đơn vị vận hành hoặc chủ sở hữu";
        by_github: "GitHub secret scanning", "GitHub secret scanning";
        by_github_alert: "a secret scanning alert of a GitHub repository", "cảnh báo secret scanning của một kho mã GitHub";
        by_gitlab: "GitLab secret detection", "GitLab secret detection";
    }
}

texts! {
    /// Why a delivery failed.
    Problems {
        status: "The answer was {}", "Trả lời là {}";
        refused: "The receiver refused it", "Bên nhận từ chối";
        gone: "The endpoint says that it is gone for good", "Điểm nhận báo đã ngừng vĩnh viễn";
        timed_out: "There was no answer in time", "Không có trả lời kịp lúc";
        unknown_host: "The host name is not known", "Không tìm thấy tên máy chủ";
        unreachable: "No connection, or it broke off", "Không kết nối được hoặc bị ngắt giữa chừng";
        private_address: "The address is in a private network, which is not allowed", "Địa chỉ thuộc mạng riêng, không được phép";
        tls: "No secure connection: the certificate is not valid for the host, or there is none", "Không có kết nối an toàn: chứng chỉ không hợp lệ cho máy chủ hoặc không có";
        bad_answer: "The answer could not be read", "Không đọc được trả lời";
        login: "The mail server refused the login", "Máy chủ thư từ chối đăng nhập";
        no_address: "No mail address that can be written to", "Không có địa chỉ thư dùng được";
        stopped: "It was switched off or removed", "Đã bị tắt hoặc xóa";
        secret: "Its secret cannot be opened with this master key", "Không mở được khóa bí mật bằng master key này";
        unreadable: "It was written by another version of the program", "Được ghi bởi phiên bản khác của chương trình";
    }
}

/// A problem in words.
pub(crate) fn problem_in_words(lang: Lang, problem: DeliveryProblem, status: Option<u16>) -> String {
    let t = Problems::of(lang);
    match problem {
        DeliveryProblem::Status => match status {
            Some(status) => return fill(t.status, &[&status]),
            None => t.refused,
        },
        DeliveryProblem::Gone => t.gone,
        DeliveryProblem::TimedOut => t.timed_out,
        DeliveryProblem::UnknownHost => t.unknown_host,
        DeliveryProblem::Unreachable => t.unreachable,
        DeliveryProblem::PrivateAddress => t.private_address,
        DeliveryProblem::Tls => t.tls,
        DeliveryProblem::BadAnswer => t.bad_answer,
        DeliveryProblem::Login => t.login,
        DeliveryProblem::NoAddress => t.no_address,
        DeliveryProblem::Stopped => t.stopped,
        DeliveryProblem::Secret => t.secret,
        DeliveryProblem::Unreadable => t.unreadable,
    }
    .to_owned()
}

/// The way in which a leak was reported, in words.
pub(crate) const fn source_in_words(lang: Lang, source: LeakSource) -> &'static str {
    let t = Mail::of(lang);
    match source {
        LeakSource::Public => t.by_public,
        LeakSource::Api => t.by_api,
        LeakSource::Github => t.by_github,
        LeakSource::GithubAlert => t.by_github_alert,
        LeakSource::Gitlab => t.by_gitlab,
    }
}
