//! Rows of models and upstreams.

use tollgate_core::{Model, No, Upstream, catalog::ServedBy};

use crate::{Result, StoreError, engine::Row, keyring::SealedUpstream, value::parsed};

/// What [`model_of`] reads. Names of models and upstreams hold neither blanks nor commas.
pub(crate) const MODEL: &str = "SELECT m.no, m.id, m.name, m.title, m.kind, m.context_window, m.max_output_tokens, m.price,
    (SELECT string_agg(CAST(v.upstream_no AS TEXT) || ' ' || w.name || ' ' || v.model || ' ' || CAST(v.weight AS TEXT), ','
                       ORDER BY v.position)
     FROM served_by v JOIN upstreams w ON w.no = v.upstream_no WHERE v.model_no = m.no),
    m.created_at, m.version FROM models m";

pub(crate) fn model_of(row: &Row) -> Result<Model> {
    let mut columns = row.columns();
    let columns = &mut columns;
    let unreadable = |_| StoreError::Failed("a model's price cannot be read".into());
    Ok(Model {
        no: columns.next()?,
        id: columns.next()?,
        name: columns.next()?,
        title: columns.next()?,
        kind: columns.next()?,
        context_window: columns.next()?,
        max_output_tokens: columns.next()?,
        price: serde_json::from_str(&columns.next::<String>()?).map_err(unreadable)?,
        served_by: served_by(&columns.next::<Option<String>>()?.unwrap_or_default())?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}

fn served_by(text: &str) -> Result<Vec<ServedBy>> {
    text.split(',')
        .filter(|one| !one.is_empty())
        .map(|one| {
            let mut parts = one.split(' ');
            let mut part = || parts.next().unwrap_or_default();
            Ok(ServedBy {
                upstream_no: No::new(parsed(part())?),
                upstream: parsed(part())?,
                model: parsed(part())?,
                weight: parsed(part())?,
            })
        })
        .collect()
}

/// What [`sealed_upstream_of`] reads.
pub(crate) const UPSTREAM: &str =
    "SELECT s.no, s.id, s.name, s.base_url, s.credential, s.engine, s.on_client_gone, s.enabled,
    s.created_at, s.version FROM upstreams s";

pub(crate) fn sealed_upstream_of(row: &Row) -> Result<SealedUpstream> {
    let mut columns = row.columns();
    let columns = &mut columns;
    let (no, id, name, base_url) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
    let credential: Option<Vec<u8>> = columns.next()?;
    let upstream = Upstream {
        no,
        id,
        name,
        base_url,
        has_credential: credential.is_some(),
        engine: columns.next()?,
        on_client_gone: columns.next()?,
        enabled: columns.next()?,
        created_at: columns.next()?,
        version: columns.next()?,
    };
    Ok(SealedUpstream { upstream, credential })
}
