//! Trying a model from the console: a request of a key that the caller may manage, sent through the data plane like any
//! other. The key's text is not needed and not known.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use tollgate_core::{
    Id, Key, KeyStatus, Permission,
    account::AccountAction,
    catalog::{Model, ModelKind, Route},
};
use tollgate_store::{PageRequest, keys::KeyFilter};

use super::{Noun, ServiceError, Services};
use crate::principal::{Access, Principal};

/// The longest text that is tried, in characters.
pub const LONGEST_TRIAL: usize = 20_000;
/// Keys that are looked through for those that may use a model.
const KEYS_SEEN: u32 = 200;
/// The longest answer that is read whole, in bytes.
const LARGEST_ANSWER: usize = 4 << 20;
/// How long an answer is waited for that is read whole.
const ANSWER_WAIT: Duration = Duration::from_secs(120);
/// Numbers of a vector that are shown.
const NUMBERS_SHOWN: usize = 4;

/// An answer that was read whole.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct TrialAnswer {
    /// What the model said; absent for a vector.
    pub text: Option<String>,
    /// A vector's length and its first numbers.
    pub vector: Option<(usize, Vec<f64>)>,
    /// Input and output tokens, as counted.
    pub tokens: Option<(u64, u64)>,
    /// What the data plane or the upstream refused with, in words.
    pub refusal: Option<String>,
}

impl Services {
    /// The keys that the caller may try a model with, newest first: active, theirs to manage, permitted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn trial_keys(
        &self,
        principal: &Principal,
        access: &Access,
        model: &Model,
    ) -> Result<Vec<Key>, ServiceError> {
        if access.require(AccountAction::OwnKeyManage).is_err() {
            return Ok(Vec::new());
        }
        let any = access.role().may(AccountAction::AnyKeyManage);
        let filter = KeyFilter {
            status: Some(KeyStatus::Active),
            created_by: (!any).then(|| principal.user().id),
            ..KeyFilter::default()
        };
        let page = PageRequest { cursor: None, limit: KEYS_SEEN };
        let keys = self.store().key_list(access.account.id, &filter, &page).await?;
        let permits = |key: &Key| match &key.permission {
            Permission::All => true,
            Permission::Models(names) => names.contains(&model.name),
        };
        Ok(keys.data.into_iter().filter(permits).collect())
    }

    /// Sends a text to a model with a key: the answer of the data plane as it comes.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] for a key that is not the account's, a role that may not use it, a wrong text; what the
    /// data plane says is an answer, not an error.
    pub async fn trial(
        &self,
        access: &Access,
        key: Id<Key>,
        model: &Model,
        text: &str,
        stream: bool,
    ) -> Result<http::Response<crate::InferenceBody>, ServiceError> {
        let key = self.store().key_get(Some(access.account.id), key).await.map_err(ServiceError::of(Noun::Key))?;
        access.require_manage(&key)?;
        if text.is_empty() || text.chars().count() > LONGEST_TRIAL {
            return Err(ServiceError::invalid("text", format_args!("1 to {LONGEST_TRIAL} characters")));
        }
        let (route, body) = match model.kind {
            ModelKind::Chat if stream => (
                Route::ChatCompletions,
                json!({"model": model.name, "messages": [{"role": "user", "content": text}], "stream": true,
                       "stream_options": {"include_usage": true}}),
            ),
            ModelKind::Chat => {
                (Route::ChatCompletions, json!({"model": model.name, "messages": [{"role": "user", "content": text}]}))
            }
            ModelKind::Embedding => (Route::Embeddings, json!({"model": model.name, "input": text})),
            _ => return Err(ServiceError::State("models of this kind are not served yet")),
        };
        self.inference.call(key.hint(), route, Bytes::from(body.to_string())).await.map_err(|error| {
            tracing::warn!(error, "the console's request did not reach the data plane");
            ServiceError::State("the data plane does not answer right now")
        })
    }

    /// The same, read whole: for a page that runs no script.
    ///
    /// # Errors
    /// As [`Self::trial`]
    pub async fn trial_whole(
        &self,
        access: &Access,
        key: Id<Key>,
        model: &Model,
        text: &str,
    ) -> Result<TrialAnswer, ServiceError> {
        let answered = tokio::time::timeout(ANSWER_WAIT, async {
            let response = self.trial(access, key, model, text, false).await?;
            let is_good = response.status().is_success();
            let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
            Ok::<_, ServiceError>(body.ok().map(|body| read(is_good, &body.to_bytes())))
        });
        let broken = || TrialAnswer { refusal: Some(String::new()), ..TrialAnswer::default() };
        answered.await.map_or_else(|_| Ok(broken()), |read| Ok(read?.unwrap_or_else(broken)))
    }
}

/// Reads an answer, whatever an upstream made of it.
fn read(is_good: bool, body: &[u8]) -> TrialAnswer {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if !is_good {
        let message = answer.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
        return TrialAnswer { refusal: Some(message.to_owned()), ..TrialAnswer::default() };
    }
    let count = |name: &str| answer.pointer(name).and_then(Value::as_u64);
    let vector = answer.pointer("/data/0/embedding").and_then(Value::as_array);
    TrialAnswer {
        text: answer.pointer("/choices/0/message/content").and_then(Value::as_str).map(str::to_owned),
        vector: vector.map(|all| (all.len(), all.iter().filter_map(Value::as_f64).take(NUMBERS_SHOWN).collect())),
        tokens: count("/usage/prompt_tokens").map(|input| (input, count("/usage/completion_tokens").unwrap_or(0))),
        refusal: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_nonsense_is_nothing() {
        let chat = br#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
        let read_chat = read(true, chat);
        assert_eq!((read_chat.text.as_deref(), read_chat.tokens), (Some("hi"), Some((3, 2))));
        let vector = read(true, br#"{"data":[{"embedding":[0.5,1,2,3,4]}],"usage":{"prompt_tokens":3}}"#);
        assert_eq!((vector.vector, vector.tokens), (Some((5, vec![0.5, 1.0, 2.0, 3.0])), Some((3, 0))));
        assert_eq!(read(false, br#"{"error":{"message":"no"}}"#).refusal.as_deref(), Some("no"));
        for nonsense in [&b""[..], b"[]", b"\xff", br#"{"choices":7}"#] {
            assert_eq!(read(true, nonsense), TrialAnswer::default());
            assert_eq!(read(false, nonsense).refusal.as_deref(), Some(""));
        }
    }
}
