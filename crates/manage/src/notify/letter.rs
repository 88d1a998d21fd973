//! What a mail says: what happened, to what, what state it is in, what to do, where to look. Never a key.
//!
//! Texts of strangers (where a key was found, what it is called) stay on their line and keep their direction: they cannot
//! look like words of ours.

use askama::Template;
use tollgate_core::{
    Notice, Timestamp,
    notice::{KeyLeaked, TokenLeaked, WebhookDisabled},
};
use tollgate_store::notices::DueNotice;

use crate::pages::{
    Lang,
    texts::{Mail, fill, problem_in_words, source_in_words},
};

/// Most things that are listed one by one.
const MOST_THINGS: usize = 25;
/// The longest text of a stranger, in characters.
const LONGEST_TEXT: usize = 300;

/// A mail's subject and its body in two forms.
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// What stands in a mail, in order.
#[derive(Default)]
struct Parts {
    subject: String,
    lead: String,
    things: Vec<Vec<Fact>>,
    more: Option<String>,
    steps: Vec<&'static str>,
    last: Option<&'static str>,
    link: Option<(&'static str, String)>,
}

struct Fact {
    label: &'static str,
    value: String,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    lang: Lang,
    t: &'static Mail,
    hello: &'a str,
    parts: &'a Parts,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    t: &'static Mail,
    hello: &'a str,
    parts: &'a Parts,
}

/// The letter to somebody of this name about notices of one kind.
pub(super) fn of(lang: Lang, name: &str, notices: &[DueNotice], console: Option<&str>) -> Letter {
    let words = Words { lang, t: Mail::of(lang), console };
    let parts = words.parts(notices);
    let hello = fill(words.t.hello, &[&one_line(name)]);
    let (hello, parts, t) = (hello.as_str(), &parts, words.t);
    let render = |template: askama::Result<String>| {
        template.unwrap_or_else(|error| {
            tracing::error!(%error, "a mail did not render");
            format!("{hello}\n\n{}\n", parts.lead)
        })
    };
    Letter {
        subject: parts.subject.clone(),
        text: render(Text { t, hello, parts }.render()),
        html: render(Html { lang, t, hello, parts }.render()),
    }
}

struct Words<'a> {
    lang: Lang,
    t: &'static Mail,
    console: Option<&'a str>,
}

impl Words<'_> {
    fn parts(&self, notices: &[DueNotice]) -> Parts {
        let Some(first) = notices.first() else { return Parts::default() };
        let mut parts = match &first.notice {
            Notice::KeyLeaked(leaked) => self.key_leaked(leaked, first, notices),
            Notice::TokenLeaked(leaked) => self.token_leaked(leaked, notices),
            Notice::WebhookDisabled(disabled) => self.webhook_disabled(disabled, first),
            Notice::Test(_) => {
                Parts { subject: self.t.subject_test.to_owned(), lead: self.t.lead_test.to_owned(), ..Parts::default() }
            }
        };
        parts.subject = one_line(&parts.subject);
        parts.things = notices.iter().take(MOST_THINGS).map(|told| self.facts(told)).collect();
        let left = notices.len().saturating_sub(MOST_THINGS) as u64;
        parts.more = (left > 0).then(|| fill(self.t.and_more, &[&self.lang.count(left)]));
        parts
    }
    fn key_leaked(&self, leaked: &KeyLeaked, first: &DueNotice, notices: &[DueNotice]) -> Parts {
        let t = self.t;
        let count = self.lang.count(notices.len() as u64);
        let is_alive = |told: &DueNotice| matches!(&told.notice, Notice::KeyLeaked(leaked) if !leaked.disabled);
        let (alive, dead) = (notices.iter().any(is_alive), !notices.iter().all(is_alive));
        let one_account = notices.iter().all(|told| told.account == first.account);
        let (subject, lead, link) = if notices.len() == 1 {
            let subject = if leaked.disabled { t.subject_leaked } else { t.subject_leaked_alive };
            let path = first.account.as_ref().map(|account| format!("/a/{account}/keys/{}", leaked.key));
            (
                fill(subject, &[&leaked.name]),
                fill(t.lead_leaked, &[&account_of(first)]),
                path.map(|path| (t.see_key, path)),
            )
        } else {
            let path = first.account.as_ref().filter(|_| one_account).map(|account| format!("/a/{account}/keys"));
            (
                fill(t.subject_leaked_many, &[&count]),
                fill(t.lead_leaked_many, &[&count]),
                Some((t.see_keys, path.unwrap_or_else(|| "/".to_owned()))),
            )
        };
        let mut steps = if alive { vec![t.do_disable] } else { Vec::new() };
        steps.extend([t.do_replace, t.do_take_out, t.do_look]);
        let last = dead.then_some(t.wrong_report);
        Parts { subject, lead, steps, last, link: link.and_then(|link| self.link(link)), ..Parts::default() }
    }
    fn token_leaked(&self, leaked: &TokenLeaked, notices: &[DueNotice]) -> Parts {
        let t = self.t;
        let count = self.lang.count(notices.len() as u64);
        let (subject, lead) = if notices.len() == 1 {
            (fill(t.subject_token, &[&leaked.name]), t.lead_token.to_owned())
        } else {
            (fill(t.subject_token_many, &[&count]), fill(t.lead_token_many, &[&count]))
        };
        let steps = vec![t.do_new_token, t.do_take_token_out, t.do_look_activity];
        Parts { subject, lead, steps, link: self.link((t.see_profile, "/me".to_owned())), ..Parts::default() }
    }
    fn webhook_disabled(&self, disabled: &WebhookDisabled, first: &DueNotice) -> Parts {
        let t = self.t;
        let path = match &first.account {
            Some(account) => format!("/a/{account}/webhooks/{}", disabled.webhook),
            None => format!("/operator/webhooks/{}", disabled.webhook),
        };
        Parts {
            subject: fill(t.subject_webhook, &[&disabled.name]),
            lead: t.lead_webhook.to_owned(),
            steps: vec![t.do_mend, t.do_resend],
            link: self.link((t.see_webhook, path)),
            ..Parts::default()
        }
    }

    fn facts(&self, told: &DueNotice) -> Vec<Fact> {
        let t = self.t;
        let fact = |label, value: &str| Fact { label, value: one_line(value) };
        match &told.notice {
            Notice::KeyLeaked(leaked) => vec![
                fact(t.key, &format!("{} ({})", leaked.name, leaked.hint)),
                fact(t.account, &account_of(told)),
                fact(t.found_at, leaked.found_at.as_deref().unwrap_or(t.found_nowhere)),
                fact(t.reported_by, source_in_words(self.lang, leaked.source)),
                fact(t.reported_at, &time(leaked.at)),
                fact(t.state, if leaked.disabled { t.dead } else { t.alive }),
            ],
            Notice::TokenLeaked(leaked) => vec![
                fact(t.token, &format!("{} ({})", leaked.name, leaked.hint)),
                fact(t.account, told.account.as_deref().unwrap_or(t.all_accounts)),
                fact(t.found_at, leaked.found_at.as_deref().unwrap_or(t.found_nowhere)),
                fact(t.reported_by, source_in_words(self.lang, leaked.source)),
                fact(t.reported_at, &time(leaked.at)),
                fact(t.state, t.token_dead),
            ],
            Notice::WebhookDisabled(disabled) => vec![
                fact(t.webhook, disabled.name.as_str()),
                fact(t.account, told.account.as_deref().unwrap_or(t.of_deployment)),
                fact(t.failing_since, &time(disabled.failing_since)),
                fact(t.last_failure, &problem_in_words(self.lang, disabled.reason, disabled.status)),
            ],
            Notice::Test(_) => Vec::new(),
        }
    }
    /// A link into the console, where it is known where that is.
    fn link(&self, (label, path): (&'static str, String)) -> Option<(&'static str, String)> {
        self.console.map(|console| (label, format!("{console}{path}")))
    }
}

fn account_of(told: &DueNotice) -> String {
    told.account.clone().unwrap_or_else(|| "–".to_owned())
}

/// To the minute, in UTC.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

/// A text as one line: shortened, without control characters, and without those that turn the direction of what follows.
fn one_line(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut line: String =
        text.chars().filter(|c| !turns(*c)).map(|c| if breaks(c) { ' ' } else { c }).take(LONGEST_TEXT + 1).collect();
    if line.chars().count() > LONGEST_TEXT {
        line = line.chars().take(LONGEST_TEXT).collect();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::hostile;
    use tollgate_core::{
        Id,
        notice::{DeliveryProblem, LeakSource, Test},
    };

    fn at() -> Timestamp {
        "2026-05-04T12:34:56Z".parse().unwrap()
    }
    fn told(notice: Notice) -> DueNotice {
        DueNotice { id: Id::from_parts(1, &[1; 10]), notice, account: Some("acme".into()) }
    }
    fn key_leaked(name: &str, found_at: &str, disabled: bool) -> DueNotice {
        told(Notice::KeyLeaked(KeyLeaked {
            account: Id::from_parts(1, &[1; 10]),
            key: Id::from_parts(2, &[2; 10]),
            name: name.parse().unwrap(),
            hint: "tg_abcdefghijkl…".into(),
            found_at: Some(found_at.into()),
            source: LeakSource::Github,
            at: at(),
            disabled,
        }))
    }
    fn all_kinds(name: &str) -> Vec<DueNotice> {
        vec![
            key_leaked(name, name, true),
            key_leaked(name, name, false),
            told(Notice::TokenLeaked(TokenLeaked {
                user: Id::from_parts(3, &[3; 10]),
                account: None,
                token: Id::from_parts(4, &[4; 10]),
                name: name.parse().unwrap(),
                hint: "tga_abcdefghijkl…".into(),
                found_at: Some(name.into()),
                source: LeakSource::Public,
                at: at(),
            })),
            told(Notice::WebhookDisabled(WebhookDisabled {
                account: None,
                webhook: Id::from_parts(5, &[5; 10]),
                name: name.parse().unwrap(),
                failing_since: at(),
                at: at(),
                reason: DeliveryProblem::Status,
                status: Some(500),
            })),
            told(Notice::Test(Test { account: None, at: at() })),
        ]
    }
    const CONSOLE: Option<&str> = Some("https://tollgate.example");

    #[test]
    fn a_leaked_keys_mail_says_what_where_that_it_is_dead_and_what_to_do() {
        let letter = of(Lang::En, "An", &[key_leaked("CI", "https://git.example/x#L1", true)], CONSOLE);
        assert_eq!(letter.subject, "API key “CI” was found in public and is disabled");
        for body in [&letter.text, &letter.html] {
            for said in [
                "Hello An,",
                "CI (tg_abcdefghijkl…)",
                "acme",
                "https://git.example/x#L1",
                "GitHub secret scanning",
                "2026-05-04 12:34 UTC",
                "No request with it is accepted any more",
                "Create a new API key",
                "https://tollgate.example/a/acme/keys/key_00000000000272028202020202020202",
            ] {
                assert!(body.contains(said), "{said}: {body}");
            }
        }
        let alive = of(Lang::Vi, "An", &[key_leaked("CI", "x", false)], None);
        assert!(alive.subject.contains("vẫn đang hoạt động"), "{}", alive.subject);
        assert!(
            alive.text.contains("vô hiệu hóa hoặc thu hồi key ngay") && !alive.text.contains("http"),
            "{}",
            alive.text
        );
        assert!(alive.html.contains("lang=\"vi\""));
    }

    #[test]
    fn many_keys_are_counted_and_the_first_of_them_listed() {
        let many: Vec<_> = (0..30).map(|n| key_leaked(&format!("key {n}"), "x", true)).collect();
        let letter = of(Lang::En, "An", &many, CONSOLE);
        assert_eq!(letter.subject, "30 API keys were found in public");
        assert!(letter.text.contains("key 24 (") && !letter.text.contains("key 25 ("), "{}", letter.text);
        assert!(letter.text.contains("And 5 more.") && letter.html.contains("https://tollgate.example/a/acme/keys\""));
    }

    #[test]
    fn strangers_texts_stay_text_on_a_line_of_their_own() {
        for lang in Lang::ALL {
            for name in hostile::NAMES {
                for told in all_kinds(name) {
                    let letter = of(lang, name, &[told], CONSOLE);
                    let shown = one_line(name);
                    hostile::check(&letter.html, &shown);
                    assert!(!letter.html.contains('\u{202e}') && !letter.text.contains('\u{202e}'));
                    assert!(letter.text.contains(&shown), "{}", letter.text);
                }
            }
        }
        let forged = key_leaked("CI", "x\r\nState: fine\u{2028}Nothing to do\u{0}", true);
        let letter = of(Lang::En, "An", &[forged], None);
        assert!(letter.text.contains("x  State: fine Nothing to do "), "{}", letter.text);
        let long = of(Lang::En, "An", &[key_leaked("CI", &"é".repeat(5_000), true)], None);
        assert!(long.text.contains(&format!("{}…", "é".repeat(LONGEST_TEXT))) && long.text.len() < 4_000);
    }
}
