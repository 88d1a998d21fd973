//! OpenAI's shapes of an answer, whole and in chunks, their fields in the usual order.

use serde::Serialize;

/// `chat.completion`, `chat.completion.chunk` or `text_completion`.
#[derive(Debug, Serialize)]
pub struct Reply<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: i64,
    pub model: &'static str,
    pub choices: Vec<Choice>,
    /// Absent, null in a chunk whose stream ends with usage, or there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
    pub system_fingerprint: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Choice {
    pub index: u32,
    #[serde(flatten)]
    pub content: Content,
    pub logprobs: Option<()>,
    pub finish_reason: Option<&'static str>,
}

/// What a choice says, under the name that its shape has for it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    Message { role: &'static str, content: String, refusal: Option<()> },
    Delta(Delta),
    Text(String),
}

#[derive(Debug, Default, Serialize)]
pub struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    pub prompt_tokens_details: PromptDetails,
    pub completion_tokens_details: CompletionDetails,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct PromptDetails {
    pub cached_tokens: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct CompletionDetails {
    pub reasoning_tokens: u64,
}
