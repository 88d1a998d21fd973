//! The models that an account may use, and trying one.

texts! {
    /// The list of models, a model's page, the box to try it.
    Models {
        lead: "What this account's keys can call. A key may be limited to some of them.", "Những mô hình mà API Key của tài khoản này có thể gọi. Mỗi API Key có thể chỉ được phép dùng một số mô hình.";
        none_title: "No models yet", "Chưa có mô hình nào";
        none: "As soon as the operator of this service adds one, it appears here with its price.", "Ngay khi đơn vị vận hành thêm mô hình, mô hình và giá sẽ xuất hiện ở đây.";
        model: "Model", "Mô hình";
        kind: "Kind", "Loại";
        context: "Context", "Ngữ cảnh";
        tokens: "{} tokens", "{} token";
        most_output: "Longest answer", "Câu trả lời dài nhất";
        price_in: "Input / 1M tokens", "Đầu vào / 1 triệu token";
        price_out: "Output / 1M tokens", "Đầu ra / 1 triệu token";
        price_cached: "Cached input / 1M tokens", "Đầu vào từ bộ nhớ đệm / 1 triệu token";
        price_image: "Per 1M images", "Mỗi 1 triệu ảnh";
        price_audio: "Per 1M seconds of audio", "Mỗi 1 triệu giây âm thanh";
        endpoints: "Endpoints", "Điểm cuối API";
        no_endpoint: "Not served by this version yet", "Phiên bản này chưa phục vụ";
        try_it: "Try it", "Dùng thử";
        more: "More models", "Thêm mô hình";
        kind_chat: "Chat", "Hội thoại";
        kind_embedding: "Embedding", "Vector nhúng";
        kind_rerank: "Rerank", "Xếp hạng lại";
        kind_transcription: "Speech to text", "Giọng nói thành văn bản";
        kind_speech: "Text to speech", "Văn bản thành giọng nói";
        kind_image: "Images", "Hình ảnh";
        try_lead: "Sent through the same gateway as your programs' requests, with the key that you choose: permission, usage and cost are counted like any call.", "Yêu cầu được gửi qua cùng một cổng như chương trình của bạn, với API Key bạn chọn: quyền, mức sử dụng và chi phí được tính như mọi lệnh gọi.";
        key: "API key", "API Key";
        message: "Message", "Tin nhắn";
        input: "Text", "Văn bản";
        sample_chat: "Say hello in one sentence.", "Hãy chào bằng một câu.";
        sample_text: "A text that becomes a vector.", "Một đoạn văn bản sẽ trở thành vector.";
        send: "Send", "Gửi";
        stop: "Stop", "Dừng";
        answer: "Answer", "Câu trả lời";
        counted: "{} input tokens, {} output tokens", "{} token đầu vào, {} token đầu ra";
        vector: "A vector of {} numbers, beginning with {}", "Một vector gồm {} số, bắt đầu bằng {}";
        no_keys: "You have no active key that may use this model.", "Bạn không có API Key nào đang hoạt động được phép dùng mô hình này.";
        no_keys_go: "Create New API Key", "Tạo API Key mới";
        viewer: "Viewers look on: trying a model takes a key of one's own.", "Người xem chỉ có thể xem: cần có API Key của riêng bạn để dùng thử mô hình.";
        broken: "The answer broke off. What came until then is counted.", "Câu trả lời bị gián đoạn. Phần đã nhận được vẫn được tính.";
        refused: "The gateway refused this: {}", "Cổng đã từ chối yêu cầu này: {}";
        too_long: "At most {} characters.", "Tối đa {} ký tự.";
        unknown_key: "Choose one of the keys in the list.", "Hãy chọn một API Key trong danh sách.";
    }
}
