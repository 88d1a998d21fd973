//! Every template of this part, with names that people would not use.

use askama::Template;
use tollgate_core::Timestamp;

use super::{
    super::{
        Chrome, FieldErrors, Lang, Look, When,
        texts::{Errors, Keys},
    },
    act::{Act, ActPage, InUse},
    create::{BarredPage, CreatePage, MadePage},
    details::{Deed, DetailsPage},
    edit::EditPage,
    fields::{Fields, ModelOption, Typed},
    list,
    outcome::{OutcomePage, Pending, Proof},
    rotate::RotatePage,
    shown::{ShownPage, Snippet},
    view::{Barred, Exposed, KeyView, Leak, LeakPlace, LeakSaid, May, Models},
};

/// Text that must stay text.
const HOSTILE: [&str; 4] =
    ["<script>alert(1)</script>", "\"quoted\" 'name' & more", "👩‍💻👩‍💻👩‍💻👩‍💻", "\u{202e}שלום <b>\u{202c}"];

fn when() -> When {
    When(Timestamp::from_millis(1_795_167_000_000))
}

fn key(name: &str) -> KeyView {
    KeyView {
        id: "key_1".to_owned(),
        base: "/a/acme/keys/key_1".to_owned(),
        name: name.to_owned(),
        note: Some(name.to_owned()),
        hint: "tg_4fZ0aB1cD2eF…".to_owned(),
        models: Models { all: false, names: ["a", "b", "c", "d", "e"].map(str::to_owned).into() },
        status: "active",
        tone: "good",
        created: when(),
        maker: Some(name.to_owned()),
        last_used: Some(when()),
        expires: Some(when()),
        old_until: Some(when()),
        revoked: Some(when()),
        origins: vec!["https://app.example.com".to_owned()],
        exposed: Some(Exposed { times: "twice".to_owned(), last: Some(when()), origin: Some(name.to_owned()) }),
        leak: Some(Leak {
            at: when(),
            place: Some(LeakPlace::new(name.to_owned())),
            source: "who",
            works: name.len().is_multiple_of(2),
        }),
        blocked: Some("why"),
        may: May { edit: true, rotate: true, disable: true, enable: true, revoke: true },
        version: 3,
    }
}

fn fields(name: &str) -> Fields {
    let mut errors = FieldErrors::default();
    for field in ["", "name", "models", "expiry", "date", "note", "origins"] {
        errors.add(field, name);
    }
    let model = ModelOption { name: "org/model".to_owned(), title: Some(name.to_owned()), kind: "chat", ticked: true };
    Fields {
        typed: Typed {
            name: name.to_owned(),
            note: name.to_owned(),
            date: name.to_owned(),
            origins: name.to_owned(),
            ..Typed::new()
        },
        models: vec![model],
        is_cut: true,
        errors,
        keep: Some(None),
    }
}

/// Every page of this part in this language.
fn pages(lang: Lang, name: &str) -> Vec<String> {
    let chrome = || Chrome::bare(Look { lang, ..Look::default() });
    let (t, e) = (Keys::of(lang), Errors::of(lang));
    let (text, list_address) = (name.to_owned(), "/a/acme/keys".to_owned());
    let outcome = || OutcomePage {
        chrome: chrome(),
        t,
        title: t.revoked_title,
        text: t.revoked_text,
        name: text.clone(),
        hint: "tg_x…".to_owned(),
        proof: None,
        pending: None,
        list: list_address.clone(),
    };
    let in_use = || InUse {
        last: Some(when()),
        last_hour: "1".to_owned(),
        last_day: "2".to_owned(),
        is_now: true,
        addresses: vec![("203.0.113.9".to_owned(), when())],
    };
    let act = |act, use_| ActPage {
        chrome: chrome(),
        t,
        act,
        key: key(name),
        use_,
        back: text.clone(),
        list: list_address.clone(),
    };
    let proof = Proof { took: "0.42 ms".to_owned(), nodes: "1".to_owned(), streams: "3".to_owned() };
    let pending = Pending { until: Some(when()), again: Some("/a/acme/keys/key_1/revoke".to_owned()) };
    let barred = Barred { title: t.plan_title, text: t.plan_ask, contact: None };
    let rendered = [
        CreatePage {
            chrome: chrome(),
            t,
            e,
            fields: fields(name),
            once: text.clone(),
            action: "/a/acme/keys/new".to_owned(),
            back: text.clone(),
            list: list_address.clone(),
        }
        .render(),
        EditPage {
            chrome: chrome(),
            t,
            e,
            fields: fields(name),
            version: 3,
            now: Some(key(name)),
            action: "/a/acme/keys/key_1/edit".to_owned(),
            back: text.clone(),
            list: list_address.clone(),
        }
        .render(),
        ShownPage {
            chrome: chrome(),
            t,
            name: text.clone(),
            secret: "tg_key".to_owned(),
            rotated: Some(Some(when())),
            pending: true,
            snippets: vec![Snippet { id: "snippet-curl", title: "curl", text: text.clone() }],
            list: list_address.clone(),
        }
        .render(),
        RotatePage {
            chrome: chrome(),
            t,
            e,
            key: key(name),
            grace: "1h".to_owned(),
            errors: fields(name).errors,
            back: text.clone(),
            list: list_address.clone(),
        }
        .render(),
        act(Act::Revoke, Some(in_use())).render(),
        act(Act::Disable, Some(in_use())).render(),
        act(Act::Enable, None).render(),
        OutcomePage { proof: Some(proof), ..outcome() }.render(),
        OutcomePage { pending: Some(pending), ..outcome() }.render(),
        BarredPage { chrome: chrome(), t, barred, list: list_address.clone() }.render(),
        MadePage { chrome: chrome(), t, base: "/a/acme/keys/key_1".to_owned(), list: list_address.clone() }.render(),
        DetailsPage {
            chrome: chrome(),
            t,
            key: key(name),
            figures: vec![(t.requests, "1,234".to_owned())],
            usage: "/a/acme/usage?key=key_1".to_owned(),
            addresses: in_use().addresses,
            create: Some("/a/acme/keys/new".to_owned()),
            said: vec![LeakSaid {
                source: "who",
                place: Some(LeakPlace::new(name.to_owned())),
                first: when(),
                last: when(),
                times: "2".to_owned(),
                settled: true,
            }],
            activity: Some(vec![Deed { at: when(), who: text.clone(), what: text.clone() }]),
            list: list_address.clone(),
        }
        .render(),
    ];
    let mut pages: Vec<String> = rendered.into_iter().map(Result::unwrap).collect();
    pages.push(list::sample(lang, vec![key(name)], &format!("search={}", super::super::encode(name)), true));
    pages.push(list::sample(lang, Vec::new(), "search=x", true));
    pages.push(list::sample(lang, Vec::new(), "", false));
    pages
}

#[test]
fn names_stay_text_on_every_page_in_both_languages() {
    for lang in Lang::ALL {
        for name in HOSTILE.into_iter().map(str::to_owned).chain(["👩‍💻".repeat(200), "W".repeat(200)]) {
            for html in pages(lang, &name) {
                assert!(html.trim_start().starts_with("<!doctype html>") && html.contains("<main"), "{html}");
                assert!(html.contains(&format!("<html lang=\"{}\"", lang.tag())));
                assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
                assert!(!html.contains(" style=") && !html.contains("\"quoted\""), "{html}");
                assert_eq!(html.matches("<h1").count(), 1, "{html}");
            }
        }
    }
}

#[test]
fn what_may_be_done_is_offered_and_nothing_else() {
    let mut row = key("k");
    let with_all = list::sample(Lang::En, vec![key("k")], "", true);
    for verb in ["edit", "rotate", "disable", "enable", "revoke"] {
        assert!(with_all.contains(&format!("/keys/key_1/{verb}")), "{verb}");
    }
    row.may = May::default();
    let none = list::sample(Lang::En, vec![row], "", false);
    assert!(!none.contains("data-dialog") && none.contains("href=\"/a/acme/keys/key_1\""), "{none}");
}
