//! Around the pages of the documentation.

texts! {
    /// Words around the documentation's pages; the pages themselves are Markdown.
    Docs {
        title: "Documentation", "Tài liệu";
        pages: "Pages of the documentation", "Các trang tài liệu";
        on_page: "On this page", "Trong trang này";
        before: "Previous", "Trang trước";
        after: "Next", "Trang sau";
        markdown: "This page as Markdown", "Trang này ở dạng Markdown";
        stands_in: "This page is not translated yet, so it is shown in English.", "Trang này chưa được dịch nên được hiển thị bằng tiếng Anh.";
        own: "This page is by the operator of this service.", "Trang này do đơn vị vận hành dịch vụ viết.";
        search: "Search the documentation", "Tìm trong tài liệu";
        search_hint: "Search", "Tìm kiếm";
        search_do: "Search", "Tìm";
        found_none: "Nothing was found. Try other words, or ask a question on any page.", "Không tìm thấy. Hãy thử từ khác, hoặc đặt câu hỏi ở bất kỳ trang nào.";
        found_one: "One place was found.", "Tìm thấy một mục.";
        found_many: "{} places were found.", "Tìm thấy {} mục.";
        ask_title: "Ask a question", "Đặt câu hỏi";
        ask_about: "Answered from these pages alone, with the places where it stands.", "Được trả lời chỉ từ các trang này, kèm vị trí của nội dung.";
        ask_label: "Your question", "Câu hỏi của bạn";
        ask_hint: "How do I replace a key without downtime?", "Làm thế nào để đổi key mà không gián đoạn?";
        ask_do: "Ask", "Hỏi";
        ask_empty: "Ask in a few words.", "Hãy đặt câu hỏi bằng vài từ.";
        ask_too_long: "A question has at most {} characters.", "Câu hỏi có tối đa {} ký tự.";
        answer: "Answer", "Câu trả lời";
        silent: "The documentation does not say.", "Tài liệu không nói đến điều này.";
        sources: "Sources", "Nguồn";
        near: "What comes nearest", "Nội dung gần nhất";
        asking: "Looking for an answer…", "Đang tìm câu trả lời…";
        written_by: "Written by the model {} from these sources. Each line was compared with them.", "Do mô hình {} viết từ các nguồn này. Mỗi dòng đã được đối chiếu với nguồn.";
        written_left_out: "Left out, since the sources do not say so: {}.", "Số dòng bị bỏ vì nguồn không nói như vậy: {}.";
        written_broken: "The model broke off.", "Mô hình đã dừng giữa chừng.";
        written_declined: "The model {} found no answer in the pages.", "Mô hình {} không tìm thấy câu trả lời trong các trang.";
        instead_too_often: "These are sentences of the pages, since the model was asked too often.", "Đây là câu của các trang, vì mô hình bị hỏi quá nhiều.";
        instead_failed: "These are sentences of the pages, since the model does not answer at this moment.", "Đây là câu của các trang, vì lúc này mô hình không trả lời.";
        instead_nothing: "These are sentences of the pages, since what the model wrote does not stand in them.", "Đây là câu của các trang, vì nội dung mô hình viết không có trong đó.";
        no_page_title: "There is no such page", "Không có trang này";
        no_page: "It may have moved. These pages come nearest:", "Trang có thể đã được chuyển. Những trang gần nhất:";
        no_page_none: "It may have moved. All pages are in the list beside this, or above it on a phone.", "Trang có thể đã được chuyển. Mọi trang đều có trong danh sách bên cạnh, hoặc phía trên nếu dùng điện thoại.";
    }
}
