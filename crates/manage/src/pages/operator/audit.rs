//! The audit log as people read it, of the whole deployment and of one account.
//!
//! An action that is not known here is shown by its name: nothing is left out. Details are what was recorded, as it was.

use std::collections::HashMap;

use askama::Template;
use axum::{Router, extract::State, response::Response, routing::get};
use http::StatusCode;
use tollgate_core::{
    account::{AccountAction, AuditEntry},
    name::Email,
};
use tollgate_store::{Page, audit::AuditFilter};

use super::{Asked, Operator, Pager, Which, parse_utc};
use crate::{
    pages::{
        Chrome, FieldErrors, Lang, Paged, Place, Viewer, When, render,
        texts::{Audit, OpAccounts, OpCommon, OpUsers, fill},
    },
    services::{ServiceError, Services},
};

const OF_ALL: &str = "/operator/audit";

pub(super) fn router() -> Router<Services> {
    Router::new().route(OF_ALL, get(of_all)).route("/a/{account}/activity", get(of_account))
}

struct Row {
    at: When,
    who: String,
    /// The user's id, for an operator to follow.
    actor: Option<String>,
    token: bool,
    sentence: String,
    action: String,
    subject: String,
    account: Option<String>,
    address: Option<String>,
    detail: String,
}

#[derive(Template)]
#[template(path = "operator/audit.html")]
struct AuditPage {
    chrome: Chrome,
    t: &'static Audit,
    c: &'static OpCommon,
    title: &'static str,
    lead: &'static str,
    path: String,
    /// Of all accounts, with what only operators see.
    of_all: bool,
    account: String,
    actor: String,
    subject: String,
    from: String,
    to: String,
    /// What of the filter is wrong; then there are no rows.
    errors: FieldErrors,
    actions: Vec<(&'static str, &'static str, bool)>,
    rows: Vec<Row>,
    pager: Pager,
}

/// The groups of actions that can be chosen; the first ones are of accounts too.
fn groups(t: &'static Audit, of_all: bool) -> Vec<(&'static str, &'static str)> {
    let mut groups = vec![
        ("", t.anything),
        ("key.", t.all_keys),
        ("key.leak", t.all_leaks),
        ("member.", t.all_members),
        ("account.", t.all_accounts),
        ("webhook.", t.all_webhooks),
    ];
    if of_all {
        groups.extend([
            ("invitation.", t.all_invitations),
            ("user.", t.all_users),
            ("plan.", t.all_plans),
            ("node.", t.all_nodes),
            ("model.", t.all_models),
            ("upstream.", t.all_upstreams),
            ("token.", t.all_tokens),
            ("session.", t.all_sessions),
        ]);
    } else {
        groups.push(("invitation.", t.all_invitations));
    }
    groups
}

/// What was done, in words: `{}` is its subject.
fn sentence(t: &'static Audit, action: &str, detail: &serde_json::Value) -> Option<&'static str> {
    let became =
        |field: &str| detail.get(field).and_then(|change| change.get("to")).and_then(serde_json::Value::as_bool);
    let alone = detail.as_object().is_some_and(|fields| fields.len() == 1);
    Some(match action {
        "key.create" => t.key_create,
        "key.edit" => t.key_edit,
        "key.revoke" => t.key_revoke,
        "key.disable" => t.key_disable,
        "key.enable" => t.key_enable,
        "key.rotate" => t.key_rotate,
        "key.leak" => t.key_leak,
        "key.leak_told" => t.key_leak_told,
        "token.leak" => t.token_leak,
        "account.create" => t.account_create,
        "account.edit" => match (alone, became("suspended")) {
            (true, Some(true)) => t.account_suspend,
            (true, Some(false)) => t.account_resume,
            _ if detail.get("plan").is_some() || detail.get("plan_until").is_some() => t.account_plan,
            _ => t.account_edit,
        },
        "member.edit" => t.member_edit,
        "member.remove" => t.member_remove,
        "invitation.create" => t.invitation_create,
        "invitation.revoke" => t.invitation_revoke,
        "invitation.accept" => t.invitation_accept,
        "user.create" => t.user_create,
        "user.edit" => match (alone, became("disabled")) {
            (true, Some(true)) => t.user_disable,
            (true, Some(false)) => t.user_enable,
            _ => t.user_edit,
        },
        "link.create" => t.link_create,
        "session.create" => t.session_create,
        "session.end" => t.session_end,
        "session.revoke" | "session.revoke_all" => t.session_revoke,
        "password.set" => t.password_set,
        "password.rehash" => t.password_rehash,
        "password.remove" => t.password_remove,
        "identity.link" => t.identity_link,
        "token.create" => t.token_create,
        "token.revoke" => t.token_revoke,
        "plan.create" => t.plan_create,
        "plan.edit" => t.plan_edit,
        "plan.remove" => t.plan_remove,
        "model.create" => t.model_create,
        "model.edit" => t.model_edit,
        "model.remove" => t.model_remove,
        "upstream.create" => t.upstream_create,
        "upstream.edit" => t.upstream_edit,
        "upstream.remove" => t.upstream_remove,
        "webhook.create" => t.webhook_create,
        "webhook.edit" => t.webhook_edit,
        "webhook.rotate" => t.webhook_rotate,
        "webhook.test" => t.webhook_test,
        "webhook.resend" => t.webhook_resend,
        "webhook.give_up" => t.webhook_give_up,
        "webhook.remove" => t.webhook_remove,
        "mail.test" => t.mail_test,
        "node.write_off" => t.node_write_off,
        "notice.create" => t.notice_create,
        _ => return None,
    })
}

impl Row {
    fn of(entry: AuditEntry, names: &HashMap<String, String>, lang: Lang) -> Self {
        let t = Audit::of(lang);
        let who = match (&entry.actor_name, entry.actor.strip_prefix("system:")) {
            (Some(name), _) => name.to_string(),
            (None, Some(part)) => fill(t.program, &[&part]),
            (None, None) => t.somebody.to_owned(),
        };
        // What is gone is named as it was recorded.
        let recorded = ["name", "handle"].iter().find_map(|field| entry.detail.get(field)?.as_str().map(str::to_owned));
        let subject = names.get(&entry.subject).cloned().or(recorded).unwrap_or_else(|| entry.subject.clone());
        let sentence = match sentence(t, &entry.action, &entry.detail) {
            Some(text) => fill(text, &[&subject]),
            None => format!("{} {subject}", entry.action),
        };
        let detail = serde_json::to_string_pretty(&entry.detail).unwrap_or_default();
        Self {
            at: When(entry.at),
            who,
            actor: entry.actor.starts_with("user_").then(|| entry.actor.clone()),
            token: entry.token.is_some(),
            sentence,
            action: entry.action,
            subject: entry.subject,
            account: entry.account.and_then(|account| names.get(&account.to_string()).cloned()),
            address: entry.address,
            detail,
        }
    }
}

/// Whom a filter means: an id, a part of the program, or a mail address.
async fn actor(services: &Services, viewer: &Viewer, text: &str) -> Result<String, ServiceError> {
    match text.parse::<Email>() {
        Ok(email) if viewer.principal.is_operator() => {
            let user = services.user_by_email(&viewer.principal, &email).await?;
            // An address of nobody did nothing.
            Ok(user.map_or_else(|| text.to_owned(), |id| id.to_string()))
        }
        _ => Ok(text.to_owned()),
    }
}

async fn page(
    services: &Services,
    viewer: &Viewer,
    asked: &Asked,
    account: Option<&str>,
    chrome: Chrome,
    of_all: bool,
) -> Result<AuditPage, ServiceError> {
    let lang = viewer.look.lang;
    let t = Audit::of(lang);
    let mut errors = FieldErrors::default();
    let mut time = |field: &'static str| {
        let text = asked.some(field)?;
        let at = parse_utc(text);
        if at.is_none() {
            errors.add(field, OpAccounts::of(lang).bad_time);
        }
        at
    };
    let (from, to) = (time("from"), time("to"));
    let by = match asked.some("actor") {
        Some(text) => Some(actor(services, viewer, text).await?),
        None => None,
    };
    let filter = AuditFilter {
        account: None,
        actor: by,
        subject: asked.some("subject").map(str::to_owned),
        action: asked.some("action").map(str::to_owned),
        from,
        to,
    };
    let entries = match services.audit_list(&viewer.principal, account, filter, &asked.page()).await {
        Err(ServiceError::NotFound(_)) if of_all && account.is_some() => {
            errors.add("account", OpUsers::of(lang).unknown_account);
            Page { data: Vec::new(), next_cursor: None }
        }
        listed => listed?,
    };
    let names = services.audit_names(&entries.data).await?;
    let path = if of_all { OF_ALL.to_owned() } else { format!("/a/{}/activity", account.unwrap_or_default()) };
    let text = |name: &str| asked.some(name).unwrap_or_default().to_owned();
    let mut filters: Vec<(&str, Option<&str>)> =
        ["actor", "action", "subject", "from", "to"].map(|name| (name, asked.some(name))).into();
    if of_all {
        filters.push(("account", asked.some("account")));
    }
    let chosen = asked.some("action").unwrap_or_default();
    Ok(AuditPage {
        title: if of_all { chrome.t.op_audit } else { chrome.t.activity },
        lead: if of_all { t.lead } else { t.account_lead },
        chrome,
        t,
        c: OpCommon::of(lang),
        pager: Pager::of(&path, &filters, asked, &entries),
        path,
        of_all,
        account: text("account"),
        actor: text("actor"),
        subject: text("subject"),
        from: text("from"),
        to: text("to"),
        errors,
        actions: groups(t, of_all).into_iter().map(|(value, label)| (value, label, value == chosen)).collect(),
        rows: entries.data.into_iter().map(|entry| Row::of(entry, &names, lang)).collect(),
    })
}

fn shown(page: &AuditPage) -> Response {
    render(if page.errors.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST }, page)
}

async fn of_all(State(services): State<Services>, Operator(viewer): Operator, asked: Asked) -> Paged {
    let chrome = Chrome::operator(&viewer, Place::Audit);
    let account = asked.some("account").map(str::to_owned);
    Ok(shown(&page(&services, &viewer, &asked, account.as_deref(), chrome, true).await?))
}

/// An account's owner sees what was done to its keys and members; what operators did, without from where.
async fn of_account(State(services): State<Services>, viewer: Viewer, Which(account): Which, asked: Asked) -> Paged {
    let access = viewer.enter(&services, &account).await?;
    access.require(AccountAction::MembersRead)?;
    let chrome = Chrome::account(&viewer, &services, &access, Place::Activity);
    let handle = access.account.handle.to_string();
    Ok(shown(&page(&services, &viewer, &asked, Some(&handle), chrome, false).await?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pages::{Look, hostile};

    #[test]
    fn what_was_done_is_said_in_words_and_the_unknown_by_its_name() {
        let t = Audit::of(Lang::En);
        assert_eq!(sentence(t, "key.revoke", &json!({})), Some(t.key_revoke));
        let suspended = json!({"suspended": {"from": false, "to": true}});
        assert_eq!(sentence(t, "account.edit", &suspended), Some(t.account_suspend));
        let plan = json!({"plan": {"from": null, "to": "pro"}});
        assert_eq!(sentence(t, "account.edit", &plan), Some(t.account_plan));
        assert_eq!(sentence(t, "user.edit", &json!({"name": {}})), Some(t.user_edit));
        assert_eq!(sentence(t, "moon.paint", &json!({})), None);
    }

    /// By the sources: whatever the store writes into the log is said in words.
    #[test]
    fn everything_that_the_store_records_is_said_in_words() {
        const NOUNS: [&str; 16] = [
            "key",
            "account",
            "member",
            "invitation",
            "user",
            "link",
            "session",
            "password",
            "identity",
            "token",
            "plan",
            "model",
            "upstream",
            "webhook",
            "mail",
            "notice",
        ];
        let mut actions = std::collections::BTreeSet::new();
        let mut directories = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../store/src"))];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(path).unwrap();
                let texts = text.split('"').filter(|text| text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'_' | b'.')));
                let is_action = |text: &&str| text.split_once('.').is_some_and(|(noun, _)| NOUNS.contains(&noun));
                actions.extend(texts.filter(is_action).map(str::to_owned));
            }
        }
        assert!(actions.len() > 40 && actions.contains("key.revoke"), "{actions:?}");
        for action in &actions {
            assert!(sentence(Audit::of(Lang::Vi), action, &json!({})).is_some(), "{action} has no words");
        }
    }

    #[test]
    fn hostile_names_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            for of_all in [false, true] {
                for name in hostile::NAMES {
                    let text = || (*name).to_owned();
                    let row = Row {
                        at: When(tollgate_core::Timestamp::default()),
                        who: text(),
                        actor: Some(text()),
                        token: true,
                        sentence: text(),
                        action: text(),
                        subject: text(),
                        account: Some(text()),
                        address: Some(text()),
                        detail: text(),
                    };
                    let page = AuditPage {
                        chrome: Chrome::bare(Look { lang, ..Look::default() }),
                        t: Audit::of(lang),
                        c: OpCommon::of(lang),
                        title: "t",
                        lead: "l",
                        path: "/x".into(),
                        of_all,
                        account: text(),
                        actor: text(),
                        subject: text(),
                        from: text(),
                        to: text(),
                        errors: FieldErrors::default(),
                        actions: vec![("", "a", true)],
                        rows: vec![row],
                        pager: Pager { first: None, next: Some("/n".into()) },
                    };
                    hostile::check(&page.render().unwrap(), name);
                }
            }
        }
    }
}
