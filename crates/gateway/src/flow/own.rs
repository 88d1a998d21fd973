//! What is answered without an upstream: models, the caller's own key, probes.

use std::rc::Rc;

use bytes::Bytes;
use http::{Response, StatusCode, header::RETRY_AFTER};
use serde::Serialize;
use tollgate_core::{
    Key, KeyStatus, No, Permission, Timestamp,
    money::{Cost, Costs, Currency},
    name::Label,
    secret::KeyHint,
    usage::{Bucket, UsageQuery},
};
use tollgate_store::{Store, StoreError};
use tollgate_wire::{ErrorBody, ErrorCode, models};

use super::{Caller, Context};
use crate::{
    ReadyState,
    catalogue::ModelEntry,
    in_flight::permit,
    reply::{self, Answer, Refusal},
};

/// Who offers a model, as clients see it: which upstream does is nobody's business.
const OWNED_BY: &str = "tollgate";
/// The most that a model's name may grow by percent-encoding.
const ESCAPE_LENGTH: usize = 3;

/// `GET models`: what this key may use, by name.
pub(super) fn model_list(context: &Context, caller: &Caller) -> Result<Response<Answer>, Refusal> {
    let catalogue = context.worker.node.keyring.catalogue();
    let mut permitted: Vec<&ModelEntry> =
        catalogue.models().map(|entry| &**entry).filter(|entry| caller.grant.entry.permits(entry.model.no)).collect();
    permitted.sort_by(|a, b| a.model.name.cmp(&b.model.name));
    let body = models::list(permitted.into_iter().map(entry));
    Ok(reply::json(StatusCode::OK, body, context.request, &context.client))
}

/// `GET models/{model}`: a name may have slashes, as they are or percent-encoded.
pub(super) fn model_one(context: &Context, caller: &Caller, path: &str) -> Result<Response<Answer>, Refusal> {
    let keyring = &context.worker.node.keyring;
    let name = percent_decoded(path).ok_or(ErrorCode::ModelNotFound)?;
    let not_found = || ErrorBody::about_model(ErrorCode::ModelNotFound, &name);
    let model = keyring.catalogue().model(&name).cloned().ok_or_else(not_found)?;
    permit(keyring, &caller.grant, model.model.no).map_err(|code| ErrorBody::about_model(code, &name))?;
    Ok(reply::json(StatusCode::OK, models::one(entry(&model)), context.request, &context.client))
}

fn entry(model: &ModelEntry) -> models::ModelEntry<'_> {
    let model = &model.model;
    models::ModelEntry { id: model.name.as_str(), created: model.created_at.as_millis() / 1_000, owned_by: OWNED_BY }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        if *byte == b'%' {
            let digits = rest.get(1..ESCAPE_LENGTH)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = rest.get(ESCAPE_LENGTH..)?;
        } else {
            bytes.push(*byte);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

#[derive(Serialize)]
struct KeyBody {
    object: &'static str,
    name: Label,
    hint: KeyHint,
    status: KeyStatus,
    models: Permission,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    limits: Option<()>,
    budget: Option<()>,
    usage: KeyUsage,
}

#[derive(Serialize)]
struct KeyUsage {
    today: UsageBody,
    total: UsageBody,
}

#[derive(Serialize, Default)]
struct UsageBody {
    requests: u64,
    failed: u64,
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
    /// Null where it is in several currencies: then `costs` has each.
    cost: Option<Cost>,
    currency: Option<Currency>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    costs: Vec<CostBody>,
}

#[derive(Serialize)]
struct CostBody {
    currency: Currency,
    cost: Cost,
}

/// `GET key`: the caller's own key, as its owner sees it, and what it used. Days are UTC's.
pub(super) async fn key(context: &Context, caller: Caller) -> Result<Response<Answer>, Refusal> {
    let node = &context.worker.node;
    let (store, no, now) = (node.store.clone(), caller.grant.entry.no, node.world.now());
    // The store is management's business: its work is done there.
    let asked = node.runtime.spawn(async move { key_ask(&store, no, now).await });
    let (key, usage) = match asked.await {
        Ok(Ok(found)) => found,
        Ok(Err(StoreError::Unavailable(error))) => {
            tracing::warn!(%error, "a key's own usage could not be read");
            return Err(ErrorCode::Unavailable.into());
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a key's own usage could not be read");
            return Err(ErrorCode::InternalError.into());
        }
        Err(_panic_or_shutdown) => return Err(ErrorCode::InternalError.into()),
    };
    let body = KeyBody {
        object: "key",
        hint: key.hint(),
        status: key.status(now),
        name: key.name,
        models: key.permission,
        created_at: key.created_at,
        expires_at: key.expires_at,
        limits: None,
        budget: None,
        usage,
    };
    let body = serde_json::to_vec(&body).map_err(|_| ErrorCode::InternalError)?;
    Ok(reply::json(StatusCode::OK, body.into(), context.request, &context.client))
}

async fn key_ask(store: &Store, no: No<Key>, now: Timestamp) -> Result<(Key, KeyUsage), StoreError> {
    let key = store.key_by_no(no).await?;
    let today = Timestamp::from_millis(now.as_millis() - now.as_millis() % DAY_MS);
    let usage = KeyUsage {
        today: usage_since(store, no, today, now).await?,
        total: usage_since(store, no, Timestamp::default(), now).await?,
    };
    Ok((key, usage))
}

const DAY_MS: i64 = 86_400_000;
const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

async fn usage_since(store: &Store, no: No<Key>, from: Timestamp, now: Timestamp) -> Result<UsageBody, StoreError> {
    let query = UsageQuery {
        account: None,
        from,
        // Ranges are cut to whole minutes: this one to its end.
        to: now.plus(MINUTE),
        bucket: Bucket::Total,
        group_by: vec![],
        keys: vec![no],
        models: vec![],
        zone: jiff::tz::TimeZone::UTC,
    };
    let rows = store.usage_report(&query).await?;
    let Some(row) = rows.first() else {
        return Ok(UsageBody { cost: Some(Cost::default()), ..UsageBody::default() });
    };
    let units = &row.sums.units;
    let only = row.costs.as_ref().and_then(Costs::only);
    let several = row.costs.iter().filter(|_| only.is_none()).flat_map(Costs::iter);
    let several = several.filter(|(_, cost)| *cost != Cost::default());
    Ok(UsageBody {
        requests: row.sums.requests,
        failed: row.sums.failed,
        input_tokens: units.input,
        output_tokens: units.output,
        total_tokens: units.input.saturating_add(units.output),
        cost: only.map(|(cost, _)| cost),
        currency: only.and_then(|(_, currency)| currency),
        costs: several.map(|(currency, cost)| CostBody { currency, cost }).collect(),
    })
}

/// `GET healthz`.
pub(super) fn live(context: &Context) -> Response<Answer> {
    probe(context, StatusCode::OK, "live")
}

/// `GET readyz`: 503 and the reason where a request would not be served.
pub(super) fn ready(context: &Context) -> Response<Answer> {
    let state = context.worker.node.ready();
    let status = if state == ReadyState::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    probe(context, status, state.as_str())
}

fn probe(context: &Context, status: StatusCode, word: &'static str) -> Response<Answer> {
    let body = Bytes::from(format!("{{\"status\":\"{word}\"}}"));
    let mut response = reply::json(status, body, context.request, &Rc::clone(&context.client));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, reply::RETRY_AFTER_SECONDS);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_decoded_once() {
        let decoded = |text| percent_decoded(text);
        assert_eq!(decoded("Qwen/Qwen3").as_deref(), Some("Qwen/Qwen3"));
        assert_eq!(decoded("Qwen%2FQwen3%3afree").as_deref(), Some("Qwen/Qwen3:free"));
        assert_eq!(decoded("a%252F").as_deref(), Some("a%2F"));
        for wrong in ["%", "%2", "%+1", "%ff", "%é"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
