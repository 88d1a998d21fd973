//! Writing upstreams.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{ChangeKind, Id, Upstream};

use super::{
    NewUpstream, UpstreamEdit,
    row::{UPSTREAM, sealed_upstream_of},
};
use crate::{
    Result, StoreError,
    keyring::SealedUpstream,
    value::values,
    write::{Difference, Subject, Write},
};

pub(super) async fn read(write: &mut Write<'_>, id: Id<Upstream>) -> Result<SealedUpstream> {
    let sql = format!("{UPSTREAM} WHERE s.removed_at IS NULL AND s.id = $1");
    sealed_upstream_of(&write.row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?)
}

async fn named(write: &mut Write<'_>, name: &str) -> Result<Option<SealedUpstream>> {
    let sql = format!("{UPSTREAM} WHERE s.removed_at IS NULL AND s.name = $1");
    write.row(AssertSqlSafe(sql), values![name]).await?.as_ref().map(sealed_upstream_of).transpose()
}

pub(super) async fn insert(write: &mut Write<'_>, new: NewUpstream) -> Result<Upstream> {
    if named(write, new.name.as_str()).await?.is_some() {
        return Err(StoreError::Exists("an upstream of this name"));
    }
    let now = write.now();
    let detail = json!({
        "name": new.name, "base_url": new.base_url, "engine": new.engine, "on_client_gone": new.on_client_gone,
        "enabled": new.enabled, "credential": new.credential.is_some(),
    });
    write
        .execute(
            "INSERT INTO upstreams (id, name, base_url, credential, engine, on_client_gone, enabled, created_at, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1)",
            values![
                new.id,
                &new.name,
                &new.base_url,
                new.credential,
                new.engine.as_str(),
                new.on_client_gone.as_str(),
                new.enabled,
                now,
            ],
        )
        .await?;
    let upstream = read(write, new.id).await?.upstream;
    write.change(ChangeKind::Upstream(upstream.no));
    write.audit("upstream.create", Subject::new(new.id), detail).await?;
    Ok(upstream)
}

/// Whether anything changed; `sealed` is the new state then.
pub(super) async fn edit(write: &mut Write<'_>, sealed: &mut SealedUpstream, edit: UpstreamEdit) -> Result<bool> {
    let mut difference = Difference::default();
    let upstream = &mut sealed.upstream;
    difference.take("base_url", &mut upstream.base_url, edit.base_url, |url| json!(url));
    difference.take("engine", &mut upstream.engine, edit.engine, |engine| json!(engine));
    difference.take("on_client_gone", &mut upstream.on_client_gone, edit.on_client_gone, |policy| json!(policy));
    difference.take("enabled", &mut upstream.enabled, edit.enabled, |enabled| json!(enabled));
    // Whether there is one is all that is told of a credential.
    difference.take("credential", &mut sealed.credential, edit.credential, |sealed| json!(sealed.is_some()));
    upstream.has_credential = sealed.credential.is_some();
    if difference.is_empty() {
        return Ok(false);
    }
    upstream.version += 1;
    write
        .execute(
            "UPDATE upstreams SET base_url = $2, credential = $3, engine = $4, on_client_gone = $5, enabled = $6, version = $7
             WHERE no = $1",
            values![
                upstream.no,
                &upstream.base_url,
                sealed.credential.clone(),
                upstream.engine.as_str(),
                upstream.on_client_gone.as_str(),
                upstream.enabled,
                upstream.version,
            ],
        )
        .await?;
    write.change(ChangeKind::Upstream(upstream.no));
    write.audit("upstream.edit", Subject::new(upstream.id), difference.into_detail()).await?;
    Ok(true)
}

/// Makes it or brings it to this state; whether anything changed.
pub(super) async fn apply(
    write: &mut Write<'_>,
    new: NewUpstream,
    same_credential: &(dyn Fn(&Upstream, &[u8], &NewUpstream) -> bool + Sync),
) -> Result<bool> {
    let Some(mut sealed) = named(write, new.name.as_str()).await? else {
        insert(write, new).await?;
        return Ok(true);
    };
    let credential = match (&sealed.credential, &new.credential) {
        (Some(old), Some(_)) if same_credential(&sealed.upstream, old, &new) => None,
        (None, None) => None,
        (_, Some(_)) if new.id != sealed.upstream.id => {
            return Err(StoreError::State("a credential is sealed for another upstream of this name"));
        }
        _ => Some(new.credential.clone()),
    };
    let wanted = UpstreamEdit {
        base_url: Some(new.base_url),
        credential,
        engine: Some(new.engine),
        on_client_gone: Some(new.on_client_gone),
        enabled: Some(new.enabled),
    };
    edit(write, &mut sealed, wanted).await
}
