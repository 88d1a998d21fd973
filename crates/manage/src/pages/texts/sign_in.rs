//! Signing in and out.

texts! {
    /// The sign-in pages.
    SignIn {
        title: "Sign in", "Đăng nhập";
        once: "This link works once. Go on only if you asked for it.", "Liên kết này chỉ dùng được một lần. Chỉ tiếp tục nếu chính bạn đã yêu cầu.";
        go_on: "Sign in", "Đăng nhập";
        broken_title: "This link does not work", "Liên kết không hợp lệ";
        broken: "It was used before, has expired, or is not complete. Ask for a new one.", "Liên kết đã được dùng, đã hết hạn hoặc không đầy đủ. Hãy yêu cầu liên kết mới.";
        signed_out_title: "You are not signed in", "Bạn chưa đăng nhập";
        signed_out: "Signing in takes a one-time link.", "Đăng nhập bằng liên kết dùng một lần.";
        you_use: "You use this service", "Bạn là người sử dụng dịch vụ";
        you_use_how: "Ask its operator, or an owner of your account, for a sign-in link.", "Hãy xin liên kết đăng nhập từ đơn vị vận hành hoặc chủ sở hữu tài khoản của bạn.";
        you_run: "You run it", "Bạn vận hành dịch vụ";
        you_run_how: "The link stands in the output of the first start. For a new one, run tollgate bootstrap on the server and use the token that it prints.", "Liên kết nằm trong kết quả của lần khởi động đầu tiên. Để có liên kết mới, hãy chạy tollgate bootstrap trên máy chủ và dùng mã truy cập được in ra.";
    }
}
