//! Everything about one key: what it is, what it was used for, what was done with it.

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use tollgate_core::{account::AccountAction, usage::Bucket};
use tollgate_store::{PageRequest, audit::AuditFilter};

use super::{
    super::{Chrome, Lang, Paged, Place, Viewer, When, render, texts::Keys},
    KeyPath,
    view::{KeyView, LeakSaid},
};
use crate::services::{Services, UsageInput};

/// How many of the last things done with a key are listed.
const ACTIVITY: u32 = 20;

#[derive(Template)]
#[template(path = "keys/details.html")]
pub(super) struct DetailsPage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    pub(super) key: KeyView,
    pub(super) figures: Vec<(&'static str, String)>,
    pub(super) usage: String,
    /// The last addresses that used it, and when.
    pub(super) addresses: Vec<(String, When)>,
    /// Where another key is made, for those who may.
    pub(super) create: Option<String>,
    /// What was reported of it.
    pub(super) said: Vec<LeakSaid>,
    /// Owners see who did what.
    pub(super) activity: Option<Vec<Deed>>,
    pub(super) list: String,
}

/// Something done with the key.
pub(super) struct Deed {
    pub(super) at: When,
    pub(super) who: String,
    pub(super) what: String,
}

pub(super) async fn show(State(services): State<Services>, viewer: Viewer, path: KeyPath) -> Paged {
    let access = viewer.enter(&services, &path.account).await?;
    access.require(AccountAction::Read)?;
    let key = services.key_get_of(&access, path.id).await?;
    let lang = viewer.look.lang;
    let t = Keys::of(lang);
    let handle = access.account.handle.to_string();
    let input = UsageInput {
        bucket: Some(Bucket::Total),
        keys: vec![key.id],
        account: Some(handle.clone()),
        ..UsageInput::default()
    };
    let report = services.usage_report(&viewer.principal, input).await?;
    let sum = |of: fn(&tollgate_core::usage::UsageRow) -> u64| {
        lang.count(report.rows.iter().map(of).fold(0, u64::saturating_add))
    };
    let figures = vec![
        (t.requests, sum(|row| row.sums.requests)),
        (t.failed, sum(|row| row.sums.failed)),
        (t.input_tokens, sum(|row| row.sums.units.input)),
        (t.output_tokens, sum(|row| row.sums.units.output)),
    ];
    let activity = if access.role().may(AccountAction::MembersRead) {
        let filter = AuditFilter { subject: Some(key.id.to_string()), ..AuditFilter::default() };
        let page = PageRequest { cursor: None, limit: ACTIVITY };
        let entries = services.audit_list(&viewer.principal, Some(&handle), filter, &page).await?;
        let deed = |entry: tollgate_core::account::AuditEntry| Deed {
            at: When(entry.at),
            who: entry.actor_name.map_or(entry.actor, |name| name.to_string()),
            what: deed_word(&entry.action, lang),
        };
        Some(entries.data.into_iter().map(deed).collect())
    } else {
        None
    };
    let addresses = services.key_addresses(&key).await?;
    let said = services.key_leak_log(&access, key.id).await?;
    let page = DetailsPage {
        chrome: Chrome::account(&viewer, &services, &access, Place::Keys),
        t,
        usage: format!("/a/{handle}/usage?key={}", key.id),
        figures,
        create: access.role().may(AccountAction::KeyCreate).then(|| format!("/a/{handle}/keys/new")),
        said: said.into_iter().map(|line| LeakSaid::new(line, lang)).collect(),
        addresses: addresses.into_iter().map(|(address, at)| (address, When(at))).collect(),
        activity,
        list: format!("/a/{handle}/keys"),
        key: KeyView::new(key, &access, services.world.now(), lang),
    };
    Ok(render(StatusCode::OK, &page))
}

/// An action of the audit log in words; one that is not known, as it stands there.
fn deed_word(action: &str, lang: Lang) -> String {
    let t = Keys::of(lang);
    match action {
        "key.create" => t.did_create,
        "key.edit" => t.did_edit,
        "key.rotate" => t.did_rotate,
        "key.disable" => t.did_disable,
        "key.enable" => t.did_enable,
        "key.revoke" => t.did_revoke,
        "key.leak" => t.did_leak,
        "key.leak_told" => t.did_leak_told,
        other => other,
    }
    .to_owned()
}
