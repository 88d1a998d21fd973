//! Answers that a model of the catalogue writes from passages, each line checked as it comes.
//!
//! The request goes through the data plane like any other, with a pass of a key that this program makes for itself in the
//! account that the operator names: the key may use that one model, its usage is the account's, and whoever disables or revokes
//! it switches these answers off. Where no model writes, whatever the reason, callers have the answer that is made of the
//! pages' own sentences; so nothing here is an error.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tollgate_core::{
    Actor, Id, Key, KeyStatus, Permission,
    catalog::Route,
    name::{Label, ModelName},
    secret::PlainKey,
};
use tollgate_docs::{Docs, Draft, Lang, Question, Reader, Source, Written};
use tollgate_store::{StoreError, keys::NewKey};

use super::super::{
    Confirmed, Services, Visitor,
    throttle::{Rate, Throttle, network},
};
use crate::InferenceBody;

/// Questions of one address that a model answers: each costs the operator's account.
const WRITTEN: Rate = Rate { burst: 20, every: Duration::from_secs(30) };
/// Models that write at once, on this node.
const MOST_AT_ONCE: usize = 4;
/// How long a model may write, from the question to its last word.
const LONGEST_WRITING: Duration = Duration::from_secs(45);
/// Answers that are kept.
const MOST_KEPT: usize = 256;
/// How long one is kept. It goes earlier when a page changes.
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// The longest line of the data plane's stream.
const LONGEST_EVENT: usize = 256 << 10;
/// What the key is called that this program makes for itself.
const KEY_NAME: &str = "Documentation";

/// Which model writes, and for whose account.
#[derive(Debug, Clone)]
pub struct DocsModel {
    /// The model of the catalogue.
    pub model: ModelName,
    /// The account's name or id.
    pub account: String,
}

/// Why no model writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWritten {
    /// None is set, or the passages do not hold the question.
    Off,
    /// This address asked too many, or too many ask at once.
    TooOften,
    /// It cannot be reached, or may not be used.
    Failed,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What was written stands; so many lines did not, and were left out.
    Stands {
        /// Lines that name no passage, or say what is not in it.
        left_out: usize,
        /// Whether it broke off.
        broken: bool,
    },
    /// The model finds no answer in the passages.
    Declined,
    /// Nothing of what it wrote stands, or it wrote nothing.
    Nothing,
}

/// What is shared by all who ask.
pub(super) struct Desk {
    questions: Throttle,
    at_once: Arc<Semaphore>,
    kept: Mutex<VecDeque<Kept>>,
    key: Mutex<Option<Id<Key>>>,
}

/// A question as it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    lang: Lang,
    page: Option<String>,
    question: Question,
}

/// An answer that is kept.
struct Kept {
    asked: Asked,
    /// What it was made of: another documentation has other answers.
    docs: Weak<Docs>,
    at: Instant,
    answer: Finished,
}

#[derive(Debug, Clone)]
struct Finished {
    written: Vec<Written>,
    sources: Vec<Source>,
    outcome: Outcome,
}

/// A model that writes. Who drops it hangs up.
pub struct DocsWriting {
    model: ModelName,
    ready: VecDeque<Written>,
    state: State,
}

enum State {
    Live(Box<Live>),
    Done { sources: Vec<Source>, outcome: Outcome },
}

struct Live {
    services: Services,
    asked: Asked,
    docs: Weak<Docs>,
    reader: Reader,
    events: Events,
    until: Instant,
    written: Vec<Written>,
    _permit: OwnedSemaphorePermit,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self {
            questions: Throttle::new(WRITTEN),
            at_once: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            kept: Mutex::default(),
            key: Mutex::default(),
        }
    }
    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The answer that is kept to this question.
    fn find(&self, asked: &Asked, docs: &Weak<Docs>) -> Option<Finished> {
        let mut kept = self.kept();
        kept.retain(|kept| kept.at.elapsed() < KEPT_FOR && kept.docs.ptr_eq(docs));
        kept.iter().find(|kept| kept.asked == *asked).map(|kept| kept.answer.clone())
    }
    fn keep(&self, answer: Kept) {
        let mut kept = self.kept();
        if kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(answer);
    }
}

impl Services {
    /// Has the model write an answer to this question, if there is one to write.
    ///
    /// # Errors
    /// Why none does.
    pub async fn docs_write(
        &self,
        docs: &Arc<Docs>,
        lang: Lang,
        page: Option<&str>,
        question: &Question,
        visitor: &Visitor,
    ) -> Result<DocsWriting, NotWritten> {
        let Some(by) = &self.docs.0.options.model else { return Err(NotWritten::Off) };
        let draft = docs.draft(lang, page, question).ok_or(NotWritten::Off)?;
        let desk = &self.docs.0.desk;
        let asked = Asked { lang, page: page.map(str::to_owned), question: question.clone() };
        let docs = Arc::downgrade(docs);
        if let Some(Finished { written, sources, outcome }) = desk.find(&asked, &docs) {
            return Ok(DocsWriting {
                model: by.model.clone(),
                ready: written.into(),
                state: State::Done { sources, outcome },
            });
        }
        desk.questions.take(&visitor.address.map(network)).map_err(|_| NotWritten::TooOften)?;
        let permit = Arc::clone(&desk.at_once).try_acquire_owned().map_err(|_| NotWritten::TooOften)?;
        let until = Instant::now() + LONGEST_WRITING;
        let answered = tokio::time::timeout_at(until, self.docs_ask_model(by, &draft)).await;
        let body = answered.map_err(|_| "it took too long".to_owned()).and_then(|answered| answered);
        let body = body.map_err(|error| {
            tracing::warn!(model = %by.model, account = by.account, error, "no model answers questions about the documentation");
            NotWritten::Failed
        })?;
        let live = Live {
            services: self.clone(),
            asked,
            docs,
            reader: draft.reader,
            events: Events::new(body),
            until,
            written: Vec::new(),
            _permit: permit,
        };
        Ok(DocsWriting { model: by.model.clone(), ready: VecDeque::new(), state: State::Live(Box::new(live)) })
    }

    /// Sends the question to the data plane: the answer's stream.
    async fn docs_ask_model(&self, by: &DocsModel, draft: &Draft) -> Result<InferenceBody, String> {
        let key = self.docs_key(by).await?;
        // Without limits of its own: models of several vendors refuse those of others. Who is read to the limit is hung up on.
        let body = json!({
            "model": by.model,
            "messages": [{"role": "system", "content": draft.system}, {"role": "user", "content": draft.user}],
            "stream": true,
        });
        let answer = self.inference.call(key.hint(), Route::ChatCompletions, Bytes::from(body.to_string())).await?;
        if answer.status().is_success() { Ok(answer.into_body()) } else { Err(format!("status {}", answer.status())) }
    }

    /// The key of the documentation in the account, made where there is none yet.
    async fn docs_key(&self, by: &DocsModel) -> Result<Key, String> {
        let account = self.store().account_get(&by.account).await.map_err(|error| format!("the account: {error}"))?.id;
        let slot = || self.docs.0.desk.key.lock().unwrap_or_else(PoisonError::into_inner);
        let known = *slot();
        let id = match known {
            Some(id) => id,
            None => {
                let name: Label = KEY_NAME.parse().map_err(|_| "no key can be made")?;
                let plain = PlainKey::mint(&self.prefix, &self.world);
                let presented = plain.presented().map_err(|_| "no key can be made")?;
                let new = NewKey {
                    account,
                    prefix: presented.prefix(),
                    public_id: presented.id(),
                    hash: self.key_hash(&presented),
                    name,
                    permission: Permission::Models(vec![by.model.clone()]),
                    allowed_origins: Default::default(),
                    expires_at: None,
                    note: Some(
                        "Answers questions about the documentation ([docs] model). Disable it to have none.".to_owned(),
                    ),
                    created_by: None,
                    idempotency_key: Some(format!("documentation: {}", by.model)),
                };
                let id = match self.store().key_create(&Actor::system("documentation"), new).await {
                    Ok(made) => Confirmed::extending(self.store(), made).await.value.id,
                    Err(StoreError::AlreadyCreated(id)) => id.parse().map_err(|_| "its key's id is none")?,
                    Err(error) => return Err(error.to_string()),
                };
                *slot() = Some(id);
                id
            }
        };
        let key = self.store().key_get(Some(account), id).await.map_err(|error| format!("its key: {error}"))?;
        match key.status(self.world.now()) {
            // One that a person made under this name is theirs.
            _ if key.created_by.is_some() => Err(format!("its key {id} was made by somebody else")),
            KeyStatus::Active => Ok(key),
            status => Err(format!("its key {id} is {status:?}")),
        }
    }
}

impl DocsWriting {
    /// The next line that stands; none when there are no more.
    pub async fn next(&mut self) -> Option<Written> {
        loop {
            if let Some(written) = self.ready.pop_front() {
                return Some(written);
            }
            let State::Live(live) = &mut self.state else { return None };
            let step = if live.reader.is_full() {
                Step::End
            } else {
                tokio::time::timeout_at(live.until, live.events.next()).await.unwrap_or(Step::Broken)
            };
            let (written, end) = match step {
                Step::Said(text) => (live.reader.push(&text), None),
                Step::End => (live.reader.end(), Some(false)),
                // What it was about to say is not whole.
                Step::Broken => (Vec::new(), Some(true)),
            };
            live.written.extend(written.iter().cloned());
            self.ready.extend(written);
            if let Some(broken) = end {
                let (sources, outcome) = live.finish(broken);
                self.state = State::Done { sources, outcome };
            }
        }
    }
    /// Who writes.
    #[must_use]
    pub const fn model(&self) -> &ModelName {
        &self.model
    }
    /// The sources that were named so far.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        match &self.state {
            State::Live(live) => live.reader.sources().cloned().collect(),
            State::Done { sources, .. } => sources.clone(),
        }
    }
    /// What came of it, when there is nothing more.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match &self.state {
            State::Live(_) => Outcome::Nothing,
            State::Done { outcome, .. } => *outcome,
        }
    }
}

impl Live {
    /// The model has ended; its answer is kept if it was whole.
    fn finish(&mut self, broken: bool) -> (Vec<Source>, Outcome) {
        let reader = &self.reader;
        let outcome = match (reader.stands(), reader.declined()) {
            (true, _) => Outcome::Stands { left_out: reader.left_out(), broken },
            (false, true) if !broken => Outcome::Declined,
            (false, _) => Outcome::Nothing,
        };
        tracing::info!(
            stands = reader.stands(),
            left_out = reader.left_out(),
            declined = reader.declined(),
            broken,
            "a model answered a question about the documentation"
        );
        let sources: Vec<Source> = reader.sources().cloned().collect();
        if !broken && outcome != Outcome::Nothing {
            let answer = Finished { written: std::mem::take(&mut self.written), sources: sources.clone(), outcome };
            let kept = Kept { asked: self.asked.clone(), docs: self.docs.clone(), at: Instant::now(), answer };
            self.services.docs.0.desk.keep(kept);
        }
        (sources, outcome)
    }
}

/// What comes next of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Said(String),
    End,
    Broken,
}

/// The data plane's stream, read event by event.
struct Events {
    body: InferenceBody,
    buffer: Vec<u8>,
}

impl Events {
    fn new(body: InferenceBody) -> Self {
        Self { body, buffer: Vec::new() }
    }

    async fn next(&mut self) -> Step {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if let Some(step) = event(&line) {
                    return step;
                }
            }
            if self.buffer.len() > LONGEST_EVENT {
                return Step::Broken;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                // It ends with `[DONE]`, or it broke off.
                Some(Err(_)) | None => return Step::Broken,
            }
        }
    }
}

/// What a line of the stream says, if anything.
fn event(line: &[u8]) -> Option<Step> {
    let data = std::str::from_utf8(line).ok()?.trim().strip_prefix("data:")?.trim_start();
    if data == "[DONE]" {
        return Some(Step::End);
    }
    let event: Value = serde_json::from_str(data).ok()?;
    if event.get("error").is_some() {
        return Some(Step::Broken);
    }
    let said = event.pointer("/choices/0/delta/content").and_then(Value::as_str)?;
    Some(Step::Said(said.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{StreamBody, combinators::UnsyncBoxBody};
    use hyper::body::Frame;

    use super::*;

    async fn steps(pieces: &[&str]) -> Vec<Step> {
        let frames: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from((*piece).to_owned())))).collect();
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let body: InferenceBody = UnsyncBoxBody::new(body.map_err(|never| match never {}));
        let mut events = Events::new(body);
        let mut steps = Vec::new();
        loop {
            let step = events.next().await;
            let is_last = !matches!(step, Step::Said(_));
            steps.push(step);
            if is_last {
                return steps;
            }
        }
    }

    #[tokio::test]
    async fn a_stream_is_read_however_it_is_cut_into_pieces() {
        let said = |text: &str| Step::Said(text.to_owned());
        let event = r#"data: {"choices":[{"delta":{"content":"é\n"}}]}"#;
        let (first, second) = event.split_at(20);
        let steps_of =
            steps(&[first, second, "\n\n: ping\ndata: {\"choices\":[]}\ndata: nonsense\n\ndata: [DO", "NE]\n\n"]).await;
        assert_eq!(steps_of, [said("é\n"), Step::End]);
        assert_eq!(steps(&[event, "\n"]).await, [said("é\n"), Step::Broken], "it ended without saying so");
        assert_eq!(steps(&["data: {\"error\":{\"code\":\"api_key_revoked\"}}\n"]).await, [Step::Broken]);
        assert_eq!(steps(&[&"x".repeat(LONGEST_EVENT + 1)]).await, [Step::Broken]);
    }
}
