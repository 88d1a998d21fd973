//! What was found, told: for people, as JSON, and as SARIF 2.1.0 for code scanning. None of them holds a key.

use std::{
    collections::{BTreeSet, HashSet},
    fmt::Write as _,
    sync::atomic::Ordering,
};

use serde_json::{Value, json};
use tollgate_core::secret::KeyHint;

use crate::{
    FoundKey,
    place::{Findings, Found, Part, Position},
};

/// Characters of a commit's id.
const SHORT_ID: usize = 10;
const SARIF_SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The counts of a scan that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Places with a key.
    pub places: u64,
    /// Files or objects that were read.
    pub read: u64,
    /// Bytes that were searched.
    pub bytes: u64,
    /// What could not be read.
    pub unread: u64,
}

impl Summary {
    /// As it stands.
    #[must_use]
    pub fn of(findings: &Findings) -> Self {
        let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        Self {
            places: get(&findings.places),
            read: get(&findings.read),
            bytes: get(&findings.bytes),
            unread: get(&findings.unread),
        }
    }
}

/// The different keys among these finds.
#[must_use]
pub fn keys(found: &[Found]) -> Vec<&FoundKey> {
    let mut seen = HashSet::new();
    found.iter().map(|found| &found.key).filter(|key| seen.insert(key.expose())).collect()
}

/// One line for each find.
#[must_use]
pub fn text(found: &[Found]) -> String {
    let mut text = String::new();
    for found in found {
        let _ = write!(text, "{}: {} ({})", place(found), hint(found), found.form.as_str());
        if let Some(commit) = &found.commit {
            let id = commit.id.get(..SHORT_ID).unwrap_or(&commit.id);
            let _ = write!(text, ", commit {id} of {} by {}", commit.date, commit.author);
        }
        match found.more {
            0 => {}
            1 => text.push_str(", and in 1 later version"),
            more => {
                let _ = write!(text, ", and in {more} later versions");
            }
        }
        text.push('\n');
    }
    text
}

/// Where, in words.
fn place(found: &Found) -> String {
    let line = |name: &str| match found.position {
        Some(position) => format!("{name}:{}:{}", position.line, position.column),
        None => name.to_owned(),
    };
    match found.part {
        Part::Content => line(&found.file),
        Part::FileName => format!("the name of {}", found.file),
        Part::CommitMessage => line("a commit's message"),
        Part::TagMessage => line(&format!("the message of the tag {}", found.file)),
        Part::ReferenceName => format!("the name of the reference {}", found.file),
    }
}

fn hint(found: &Found) -> String {
    format!("{:?}", found.key)
}

/// Whether it is an access token: its prefix is one of these, with an `a` behind it.
fn is_token(hint: KeyHint, tokens: &BTreeSet<String>) -> bool {
    tokens.contains(hint.prefix.as_str())
}

fn kind(found: &Found, tokens: &BTreeSet<String>) -> &'static str {
    if found.key.hint().is_some_and(|hint| is_token(hint, tokens)) { "access_token" } else { "key" }
}

/// One object. `tokens`: what access tokens begin with.
#[must_use]
pub fn json(found: &[Found], summary: Summary, tokens: &BTreeSet<String>) -> Value {
    let finds: Vec<Value> = found
        .iter()
        .map(|found| {
            json!({
                "kind": kind(found, tokens),
                "hint": hint(found),
                "form": found.form,
                "file": found.file,
                "part": found.part,
                "line": found.position.map(|position| position.line),
                "column": found.position.map(|position| position.column),
                "commit": found.commit,
                "later_versions": found.more,
            })
        })
        .collect();
    json!({
        "found": finds,
        "summary": {
            "keys": keys(found).len(),
            "places": summary.places,
            "read": summary.read,
            "bytes": summary.bytes,
            "unread": summary.unread,
        },
    })
}

/// A SARIF log (OASIS, 2.1.0) of one run.
#[must_use]
pub fn sarif(found: &[Found], version: &str, tokens: &BTreeSet<String>) -> Value {
    let rule = |id: &str, name: &str, what: &str| {
        json!({
            "id": id,
            "name": name,
            "shortDescription": { "text": format!("{what} is written down here") },
            "fullDescription": {
                "text": format!("{what} with a valid checksum was found. Whoever can read this can use it."),
            },
            "help": {
                "text": "Have it disabled (tollgate scan --report, or revoke it), make a new one, and take it out of here. \
                    Taking it out alone is not enough: who has read it can still use it.",
            },
            "defaultConfiguration": { "level": "error" },
            "properties": { "tags": ["security"], "security-severity": "9.0" },
        })
    };
    let results: Vec<Value> = found
        .iter()
        .map(|found| {
            let (index, id, what) = match kind(found, tokens) {
                "access_token" => (1, "leaked-access-token", "Access token"),
                _ => (0, "leaked-key", "API key"),
            };
            // Code scanning takes no place without a line: what has none of its own is shown at the beginning.
            let position = found.position.filter(|_| found.part == Part::Content);
            let position = position.unwrap_or(Position { line: 1, column: 1 });
            let location = json!({
                "artifactLocation": { "uri": uri(found) },
                "region": { "startLine": position.line, "startColumn": position.column },
            });
            json!({
                "ruleId": id,
                "ruleIndex": index,
                "level": "error",
                "message": { "text": format!("{what} {} ({}) in {}", hint(found), found.form.as_str(), place(found)) },
                "locations": [{ "physicalLocation": location }],
                "partialFingerprints": { "tollgateKeyInFile/v1": format!("{}:{}", hint(found), found.file) },
                "properties": { "form": found.form, "part": found.part, "commit": found.commit, "laterVersions": found.more },
            })
        })
        .collect();
    json!({
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tollgate",
                "version": version,
                "rules": [
                    rule("leaked-key", "LeakedKey", "An API key"),
                    rule("leaked-access-token", "LeakedAccessToken", "An access token"),
                ],
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A find's file as a URI reference (RFC 3986): relative to where the scan was started, if its name was.
fn uri(found: &Found) -> String {
    let name = match found.part {
        Part::CommitMessage | Part::TagMessage | Part::ReferenceName => ".git",
        // The archive itself: what is inside has no place of its own.
        Part::Content | Part::FileName => found.file.split('!').next().unwrap_or_default(),
    };
    let mut uri = String::from(if name.starts_with('/') { "file://" } else { "" });
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Commit, Finder};
    use tollgate_core::secret::{Prefix, checksum_of};

    fn found(file: &str, part: Part, commit: bool) -> Found {
        let head = "tg_abcdefghijkl_0123456789012345678901234567890123456789012";
        let text = format!("{head}{}", String::from_utf8_lossy(&checksum_of(head.as_bytes())));
        let find = Finder::new(&[Prefix::default()]).find(text.as_bytes()).remove(0);
        let mut found = Found::in_file(file.to_owned(), part, Some(Position { line: 3, column: 8 }), find);
        found.commit = commit.then(|| Commit {
            id: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            author: "Ada".to_owned(),
            date: "2030-01-31T12:00:00+01:00".to_owned(),
        });
        found.more = u64::from(commit);
        found
    }

    #[test]
    fn a_line_says_what_where_and_since_when() {
        let lines = text(&[found("a b/.env", Part::Content, false), found("x.zip!.env", Part::Content, true)]);
        assert_eq!(
            lines,
            "a b/.env:3:8: tg_abcdefghijkl… (plain)\n\
             x.zip!.env:3:8: tg_abcdefghijkl… (plain), commit 0123456789 of 2030-01-31T12:00:00+01:00 by Ada, and in 1 later \
             version\n"
        );
        assert!(text(&[found("", Part::CommitMessage, true)]).starts_with("a commit's message:3:8: tg_"));
    }

    #[test]
    fn no_form_of_report_holds_the_key() {
        let finds = [found("/a b/ä.env", Part::Content, true), found("v1", Part::TagMessage, false)];
        let summary = Summary { places: 2, read: 1, bytes: 2, unread: 0 };
        let tokens = BTreeSet::new();
        let json = json(&finds, summary, &tokens);
        let sarif = sarif(&finds, "1.0.0", &tokens);
        assert_eq!(json["summary"]["keys"], 1);
        let uri = |at: usize| {
            sarif["runs"][0]["results"][at]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone()
        };
        assert_eq!((uri(0), uri(1)), ("file:///a%20b/%C3%A4.env".into(), ".git".into()));
        let line = |at: usize| {
            sarif["runs"][0]["results"][at]["locations"][0]["physicalLocation"]["region"]["startLine"].clone()
        };
        assert_eq!((line(0), line(1)), (3.into(), 1.into()));
        for text in [text(&finds), json.to_string(), sarif.to_string()] {
            assert!(text.contains("tg_abcdefghijkl…") && !text.contains("0123456789012"), "{text}");
        }
    }
}
