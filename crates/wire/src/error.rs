//! Error bodies, in OpenAI's shape and in Anthropic's, and the event that ends a stream early.
//!
//! The codes are public: programs switch on them. A message says what to do next and holds nothing
//! that the client may not know: no key, no upstream's address, no other account's name.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

macro_rules! codes {
    ($($(#[doc = $when:literal])* $variant:ident = $code:literal, $status:literal, $kind:ident, $message:literal;)*) => {
        /// Every error that Tollgate itself answers with on the inference routes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[doc = $when])* $variant,)*
        }
        impl ErrorCode {
            /// All of them, in the order of the published table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable `code`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
            /// When it is answered, in a sentence.
            #[must_use]
            pub const fn when(self) -> &'static str {
                match self { $(Self::$variant => concat!($($when),*).trim_ascii_start(),)* }
            }
            /// What the client is told unless the caller knows better.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }
            const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }
    };
}

codes! {
    /// No credential came.
    MissingApiKey = "missing_api_key", 401, Authentication,
        "You did not provide an API key. Send it in the header \"Authorization: Bearer <key>\".";
    /// The credential is malformed, mistyped or unknown.
    InvalidApiKey = "invalid_api_key", 401, Authentication,
        "This API key is not valid. Check that it was copied whole, or create a new one under My API Keys.";
    /// The right secret of a revoked key.
    ApiKeyRevoked = "api_key_revoked", 401, Authentication,
        "This API key was revoked. Create a new one under My API Keys and use that.";
    /// The right secret of an expired key.
    ApiKeyExpired = "api_key_expired", 401, Authentication,
        "This API key has expired. Create a new one under My API Keys and use that.";
    /// The right secret of a disabled key.
    ApiKeyDisabled = "api_key_disabled", 401, Authentication,
        "This API key is disabled. Enable it under My API Keys, or use another.";
    /// The right secret of a key that was found in public.
    ApiKeyLeaked = "api_key_leaked", 401, Authentication,
        "This API key was found in public and has been disabled. Create a new one under My API Keys and use that.";
    /// No paid plan, or one that lapsed.
    PlanRequired = "plan_required", 402, Billing,
        "This account has no paid plan in force. Choose or renew a plan to use API keys.";
    /// The account is suspended.
    AccountSuspended = "account_suspended", 403, Permission,
        "This account is suspended. Contact support to have it reinstated.";
    /// Budget or quota used up.
    BudgetExceeded = "budget_exceeded", 402, Billing,
        "The budget of this API key or account is used up. Raise it, or wait until it starts anew.";
    /// The model exists, but not for this key.
    ModelNotPermitted = "model_not_permitted", 403, Permission,
        "This API key may not use this model. GET /v1/models lists those that it may; its permission can be edited under My API Keys.";
    /// No such model, or none that this account may know of.
    ModelNotFound = "model_not_found", 404, NotFound,
        "This model does not exist. GET /v1/models lists the models that this key may use.";
    /// A browser sent the request, and the key allows no such origin.
    BrowserUseRefused = "browser_use_refused", 403, Permission,
        "This API key may not be used from a web page. Call from a server, or allow this origin for the key under My API Keys.";
    /// The model does not serve this route.
    WrongEndpointForModel = "wrong_endpoint_for_model", 400, InvalidRequest,
        "This model does not serve this endpoint. Use the endpoint that fits the model's kind, or another model.";
    /// The body is not JSON, or `model` is missing, repeated or no string.
    InvalidRequest = "invalid_request", 400, InvalidRequest,
        "The request could not be read. Send one JSON object with a \"model\".";
    /// The body is over the limit.
    RequestTooLarge = "request_too_large", 413, TooLarge,
        "The request body is too large. Send less in one request.";
    /// Too many requests in a time.
    RateLimitExceeded = "rate_limit_exceeded", 429, RateLimit,
        "Too many requests. Wait as long as the header \"retry-after\" says, then try again.";
    /// Too many tokens in a time.
    TokenRateLimitExceeded = "token_rate_limit_exceeded", 429, RateLimit,
        "Too many tokens in a short time. Wait as long as the header \"retry-after\" says, then try again.";
    /// Too many requests at once.
    ConcurrencyLimitExceeded = "concurrency_limit_exceeded", 429, RateLimit,
        "Too many requests at once. Wait for running ones to end, then try again.";
    /// The upstream refused our credential, broke off, or answered nonsense.
    UpstreamError = "upstream_error", 502, Server,
        "The server of this model failed. Try again; if it goes on, contact support with the request id.";
    /// The upstream took too long.
    UpstreamTimeout = "upstream_timeout", 504, Timeout,
        "The server of this model took too long. Try again, or ask for less at once.";
    /// No upstream of this model is healthy.
    NoHealthyUpstream = "no_healthy_upstream", 503, Overloaded,
        "No server of this model is available right now. Try again as the header \"retry-after\" says.";
    /// This node cannot prove that its keys are current.
    KeysNotCurrent = "keys_not_current", 503, Overloaded,
        "This node cannot verify API keys right now. Try again as the header \"retry-after\" says.";
    /// The node is draining, or cannot write its journal.
    Unavailable = "unavailable", 503, Overloaded,
        "This node is not taking requests right now. Try again as the header \"retry-after\" says.";
    /// No such path.
    UnknownUrl = "unknown_url", 404, NotFound,
        "There is no such endpoint. Check the path and the base URL, which ends in /v1.";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, InvalidRequest,
        "This endpoint does not take this HTTP method. The header \"allow\" lists those that it takes.";
    /// The client sent its request too slowly.
    RequestTimeout = "request_timeout", 408, InvalidRequest,
        "The request did not arrive in time. Try again over a faster connection, or send less in one request.";
    /// A header is malformed (400) or too long (431), or the address is too long (414).
    InvalidHeader = "invalid_header", 400, InvalidRequest,
        "A header of the request is malformed or too long. Correct it and try again.";
    /// A fault of ours.
    InternalError = "internal_error", 500, Server,
        "Something failed on our side. Try again; if it goes on, contact support with the request id.";
}

/// What both vendors' `type` words are derived from.
#[derive(Clone, Copy)]
enum Kind {
    Authentication,
    Billing,
    Permission,
    NotFound,
    InvalidRequest,
    TooLarge,
    RateLimit,
    Server,
    Timeout,
    Overloaded,
}

impl ErrorCode {
    /// `type` in OpenAI's shape.
    #[must_use]
    pub const fn openai_type(self) -> &'static str {
        match self.kind() {
            Kind::Authentication => "authentication_error",
            Kind::Billing => "insufficient_quota",
            Kind::Permission => "permission_error",
            Kind::NotFound | Kind::InvalidRequest | Kind::TooLarge => "invalid_request_error",
            Kind::RateLimit => "rate_limit_error",
            Kind::Server | Kind::Timeout | Kind::Overloaded => "server_error",
        }
    }
    /// `type` in Anthropic's shape.
    #[must_use]
    pub const fn anthropic_type(self) -> &'static str {
        match self.kind() {
            Kind::Authentication => "authentication_error",
            Kind::Billing => "billing_error",
            Kind::Permission => "permission_error",
            Kind::NotFound => "not_found_error",
            Kind::InvalidRequest => "invalid_request_error",
            Kind::TooLarge => "request_too_large",
            Kind::RateLimit => "rate_limit_error",
            Kind::Server => "api_error",
            Kind::Timeout => "timeout_error",
            Kind::Overloaded => "overloaded_error",
        }
    }
}

/// An error as a client will read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    code: ErrorCode,
    message: Cow<'static, str>,
    param: Option<&'static str>,
}

impl From<ErrorCode> for ErrorBody {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: Cow::Borrowed(code.message()), param: None }
    }
}

impl From<crate::peek::PeekError> for ErrorBody {
    fn from(error: crate::peek::PeekError) -> Self {
        Self { code: ErrorCode::InvalidRequest, message: error.to_string().into(), param: error.param() }
    }
}

/// The longest name that a message repeats: shorter than any key, so that a key sent in the wrong
/// place is not repeated.
const QUOTED_MAX: usize = 60;

impl ErrorBody {
    /// With a message that knows more than the code's own. It is public: see the module's rule.
    #[must_use]
    pub fn with_message(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..self }
    }
    /// With the member of the request that is at fault.
    #[must_use]
    pub fn with_param(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }
    /// An error about the model that the client named: `param` is `model`, and the message begins with
    /// the name where it is short and plain enough to be one.
    #[must_use]
    pub fn about_model(code: ErrorCode, model: &str) -> Self {
        let body = Self::from(code).with_param("model");
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/@+".contains(&b);
        if model.is_empty() || model.len() > QUOTED_MAX || !model.bytes().all(plain) {
            return body;
        }
        body.with_message(format!("Model `{model}`: {}", code.message()))
    }
    /// The code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.code.status()
    }
    /// The public message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
    /// `{"error":{"message","type","param","code"}}`.
    #[must_use]
    pub fn to_openai(&self) -> Bytes {
        self.openai_text().into()
    }
    /// `{"type":"error","error":{"type","message"}}`.
    #[must_use]
    pub fn to_anthropic(&self) -> Bytes {
        self.anthropic_text().into()
    }
    /// The event that ends an OpenAI stream early; no `[DONE]` follows it.
    #[must_use]
    pub fn to_openai_event(&self) -> Bytes {
        format!("data: {}\n\n", self.openai_text()).into()
    }
    /// The event that ends an Anthropic stream early; no `message_stop` follows it.
    #[must_use]
    pub fn to_anthropic_event(&self) -> Bytes {
        format!("event: error\ndata: {}\n\n", self.anthropic_text()).into()
    }

    fn openai_text(&self) -> String {
        text(&OpenAi {
            error: OpenAiError {
                message: &self.message,
                r#type: self.code.openai_type(),
                param: self.param,
                code: self.code.as_str(),
            },
        })
    }
    fn anthropic_text(&self) -> String {
        text(&Anthropic {
            r#type: "error",
            error: AnthropicError { r#type: self.code.anthropic_type(), message: &self.message },
        })
    }
}

#[derive(Serialize)]
struct OpenAi<'a> {
    error: OpenAiError<'a>,
}
#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: &'static str,
}
#[derive(Serialize)]
struct Anthropic<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
}
#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
}

fn text(value: &impl Serialize) -> String {
    // Text under fixed names: serialising it cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_table_stands() {
        let lines: Vec<_> = ErrorCode::ALL
            .iter()
            .map(|code| {
                format!("{} {} | {} | {}", code.status(), code.as_str(), code.openai_type(), code.anthropic_type())
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        401 missing_api_key | authentication_error | authentication_error
        401 invalid_api_key | authentication_error | authentication_error
        401 api_key_revoked | authentication_error | authentication_error
        401 api_key_expired | authentication_error | authentication_error
        401 api_key_disabled | authentication_error | authentication_error
        401 api_key_leaked | authentication_error | authentication_error
        402 plan_required | insufficient_quota | billing_error
        403 account_suspended | permission_error | permission_error
        402 budget_exceeded | insufficient_quota | billing_error
        403 model_not_permitted | permission_error | permission_error
        404 model_not_found | invalid_request_error | not_found_error
        403 browser_use_refused | permission_error | permission_error
        400 wrong_endpoint_for_model | invalid_request_error | invalid_request_error
        400 invalid_request | invalid_request_error | invalid_request_error
        413 request_too_large | invalid_request_error | request_too_large
        429 rate_limit_exceeded | rate_limit_error | rate_limit_error
        429 token_rate_limit_exceeded | rate_limit_error | rate_limit_error
        429 concurrency_limit_exceeded | rate_limit_error | rate_limit_error
        502 upstream_error | server_error | api_error
        504 upstream_timeout | server_error | timeout_error
        503 no_healthy_upstream | server_error | overloaded_error
        503 keys_not_current | server_error | overloaded_error
        503 unavailable | server_error | overloaded_error
        404 unknown_url | invalid_request_error | not_found_error
        405 method_not_allowed | invalid_request_error | invalid_request_error
        408 request_timeout | invalid_request_error | invalid_request_error
        400 invalid_header | invalid_request_error | invalid_request_error
        500 internal_error | server_error | api_error
        "#);
    }

    #[test]
    fn every_message_is_a_sentence_that_says_what_to_do() {
        for code in ErrorCode::ALL {
            let message = code.message();
            assert!(message.ends_with('.') && message.split(". ").count() >= 2 || message.contains(';'), "{message}");
        }
    }

    #[test]
    fn bodies_have_the_vendors_shapes() {
        let error = ErrorBody::about_model(ErrorCode::ModelNotFound, "gpt-5");
        insta::assert_snapshot!(String::from_utf8_lossy(&error.to_openai()), @r#"{"error":{"message":"Model `gpt-5`: This model does not exist. GET /v1/models lists the models that this key may use.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#);
        insta::assert_snapshot!(String::from_utf8_lossy(&error.to_anthropic()), @r#"{"type":"error","error":{"type":"not_found_error","message":"Model `gpt-5`: This model does not exist. GET /v1/models lists the models that this key may use."}}"#);
    }

    #[test]
    fn a_stream_that_is_cut_ends_with_the_error_as_an_event() {
        let error = ErrorBody::from(ErrorCode::ApiKeyRevoked);
        insta::assert_snapshot!(String::from_utf8_lossy(&error.to_openai_event()), @r#"data: {"error":{"message":"This API key was revoked. Create a new one under My API Keys and use that.","type":"authentication_error","param":null,"code":"api_key_revoked"}}"#);
        insta::assert_snapshot!(String::from_utf8_lossy(&error.to_anthropic_event()), @r#"
        event: error
        data: {"type":"error","error":{"type":"authentication_error","message":"This API key was revoked. Create a new one under My API Keys and use that."}}
        "#);
    }

    #[test]
    fn a_message_can_break_no_event() {
        let error = ErrorBody::from(ErrorCode::InternalError).with_message("a\n\ndata: [DONE]\n\n");
        let event = error.to_openai_event();
        assert_eq!(event.iter().filter(|b| **b == b'\n').count(), 2);
        assert!(event.ends_with(b"\n\n"));
    }

    #[test]
    fn only_a_short_plain_name_is_repeated() {
        let says = |name: &str| ErrorBody::about_model(ErrorCode::ModelNotFound, name).message().to_owned();
        assert!(says("Qwen/Qwen3-32B:free").contains("`Qwen/Qwen3-32B:free`"));
        let key = format!("tg_{}_{}", "a".repeat(12), "b".repeat(49));
        for name in ["", "<script>", "a b", "ключ", &key] {
            assert_eq!(says(name), ErrorCode::ModelNotFound.message());
        }
    }

    #[test]
    fn a_body_that_cannot_be_read_names_the_member_at_fault() {
        let error = ErrorBody::from(crate::PeekError::Repeated("model"));
        assert_eq!((error.status(), error.code()), (400, ErrorCode::InvalidRequest));
        insta::assert_snapshot!(String::from_utf8_lossy(&error.to_openai()), @r#"{"error":{"message":"\"model\" occurs more than once in the request body. Send it once.","type":"invalid_request_error","param":"model","code":"invalid_request"}}"#);
    }
}
