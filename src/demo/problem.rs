//! What the demo models refuse, in OpenAI's shape.

use http::StatusCode;
use serde_json::json;

/// A refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What to do about it.
    pub message: String,
    /// The field that is wrong.
    pub param: Option<&'static str>,
    /// A stable word for programs.
    pub code: Option<&'static str>,
}

impl Problem {
    /// A field of the body that is wrong.
    pub fn field(param: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into(), param: Some(param), code: None }
    }
    /// Something else about the request.
    pub fn request(status: StatusCode, message: impl Into<String>, code: Option<&'static str>) -> Self {
        Self { status, message: message.into(), param: None, code }
    }
    /// A prompt that is longer than the context.
    pub fn context(most: u64, tokens: u64) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: format!("This model's maximum context length is {most} tokens. Your request has {tokens} tokens."),
            param: Some("messages"),
            code: Some("context_length_exceeded"),
        }
    }
    /// The body that says so.
    pub fn body(&self) -> serde_json::Value {
        let kind = if self.status.is_server_error() { "server_error" } else { "invalid_request_error" };
        json!({ "error": { "message": self.message, "type": kind, "param": self.param, "code": self.code } })
    }
}
