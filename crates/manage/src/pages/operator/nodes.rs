//! Nodes: who serves, how current they are, and in plain words what is wrong and what to do.
//!
//! The part with the figures asks for itself again every few seconds where the script runs, until it is paused.

use askama::Template;
use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use tollgate_core::{Id, Seq, Timestamp, change::Node};
use tollgate_store::{
    changes::{NodeView, Uncounted},
    usage::LostRecords,
};

use super::{Asked, Operator, Which};
use crate::{
    pages::{
        Chrome, Flash, Form, Lang, Paged, Place, Viewer, When, render,
        sheet::Confirm,
        texts::{OpNodes, fill},
    },
    services::{Noun, ServiceError, Services},
};

const HERE: &str = "/operator/nodes";
/// A node that has said nothing for so long is looked at: it renews every second.
const SILENT_MS: i64 = 3_000;
/// Usage that is older than this is late: it is shipped every second or so.
const LATE_MS: i64 = 10_000;
/// A journal that has grown so far is not being shipped.
const MUCH_JOURNAL: u64 = 256 << 20;

pub(super) fn router() -> Router<Services> {
    Router::new().route(HERE, get(list)).route("/operator/nodes/{node}/write-off", get(write_off_ask).post(write_off))
}

struct Row {
    id: String,
    name: String,
    version: String,
    epoch: i64,
    class: &'static str,
    state: &'static str,
    joined: When,
    renewed: When,
    lease_until: Option<When>,
    active: bool,
    applied: String,
    head: String,
    behind: u64,
    journal: String,
    complete_until: Option<When>,
    /// It has begun what is neither counted nor written off.
    uncounted: bool,
    /// What is wrong, and what to do.
    wrong: Vec<String>,
}

#[derive(Template)]
#[template(path = "operator/nodes.html")]
struct ListPage {
    chrome: Chrome,
    t: &'static OpNodes,
    paused: bool,
    now: When,
    rows: Vec<Row>,
    serving: bool,
    /// What of journals could not be read: how many records, and since when.
    lost: Option<(String, When)>,
}

/// Bytes for people: two figures are enough here.
fn bytes(lang: Lang, bytes: u64) -> String {
    let (unit, size) = match bytes {
        0..1_024 => return format!("{} B", lang.count(bytes)),
        1_024..1_048_576 => ("KiB", 1_024),
        1_048_576..1_073_741_824 => ("MiB", 1_048_576),
        _ => ("GiB", 1_073_741_824),
    };
    format!("{} {unit}", lang.count(bytes / size))
}

impl Row {
    fn of(node: NodeView, head: Seq, now: Timestamp, lang: Lang) -> Self {
        let t = OpNodes::of(lang);
        let since = |at: Timestamp| now.as_millis() - at.as_millis();
        let behind = u64::try_from(head.0 - node.applied.0).unwrap_or(0);
        let complete = Some(node.complete_until).filter(|at| *at > Timestamp::default());
        let mut wrong = Vec::new();
        if let Some(uncounted) = node.uncounted {
            let why = if node.written_off_at.is_some() { t.written_off_why } else { t.uncounted_why };
            wrong.push(bounds(why, uncounted, lang));
        } else if !node.active {
            wrong.push(t.gone_why.to_owned());
        } else {
            if since(node.renewed_at) > SILENT_MS {
                wrong.push(t.silent_why.to_owned());
            }
            if behind > 0 && since(node.joined_at) > SILENT_MS {
                wrong.push(fill(t.behind_why, &[&lang.count(behind)]));
            }
            if complete.is_some_and(|at| since(at) > LATE_MS) {
                wrong.push(t.late_why.to_owned());
            }
            if node.journal_bytes > MUCH_JOURNAL {
                wrong.push(fill(t.journal_why, &[&bytes(lang, node.journal_bytes)]));
            }
        }
        let uncounted = node.uncounted.is_some() && node.written_off_at.is_none();
        let (class, state) = match (node.active, wrong.is_empty()) {
            (false, _) if uncounted => ("warn", t.gone),
            (true, true) => ("good", t.serving),
            (true, false) => ("warn", t.troubled),
            (false, _) => ("", t.gone),
        };
        Self {
            id: node.id.to_string(),
            name: node.name.to_string(),
            version: node.version,
            epoch: node.epoch,
            class,
            state,
            joined: When(node.joined_at),
            renewed: When(node.renewed_at),
            lease_until: node.lease.filter(|_| node.active).map(|lease| When(node.renewed_at.plus(lease))),
            active: node.active,
            applied: lang.count(u64::try_from(node.applied.0).unwrap_or(0)),
            head: lang.count(u64::try_from(head.0).unwrap_or(0)),
            behind,
            journal: bytes(lang, node.journal_bytes),
            complete_until: complete.map(When),
            uncounted,
            wrong,
        }
    }
}

/// Words with how many there are at least and at most.
fn bounds(words: &str, uncounted: Uncounted, lang: Lang) -> String {
    fill(words, &[&lang.count(uncounted.at_least), &lang.count(uncounted.at_most)])
}

fn lost(gaps: &[LostRecords], lang: Lang) -> Option<(String, When)> {
    let newest = gaps.iter().map(|lost| lost.noticed_at).max()?;
    let records = gaps.iter().map(|lost| lost.gap.records).fold(0, u64::saturating_add);
    Some((fill(OpNodes::of(lang).lost, &[&lang.count(records)]), When(newest)))
}

async fn list(State(services): State<Services>, Operator(viewer): Operator, asked: Asked) -> Paged {
    let (nodes, head) = services.node_list(&viewer.principal).await?;
    let gaps = services.journal_gaps(&viewer.principal).await?;
    let (now, lang) = (services.world.now(), viewer.look.lang);
    let page = ListPage {
        chrome: Chrome::operator(&viewer, Place::Nodes),
        t: OpNodes::of(lang),
        paused: asked.some("paused").is_some(),
        now: When(now),
        serving: nodes.iter().any(|node| node.active),
        lost: lost(&gaps, lang),
        rows: nodes.into_iter().map(|node| Row::of(node, head, now, lang)).collect(),
    };
    Ok(render(StatusCode::OK, &page))
}

/// The question before something is written off, or why it cannot be.
async fn write_off_sheet(services: &Services, viewer: &Viewer, named: &str) -> Result<Confirm, ServiceError> {
    let lang = viewer.look.lang;
    let t = OpNodes::of(lang);
    let id: Id<Node> = named.parse().map_err(|_| ServiceError::NotFound(Noun::Node))?;
    let node = services.node_get(&viewer.principal, id).await?;
    let uncounted = node.uncounted.filter(|_| node.written_off_at.is_none());
    let lines = match uncounted {
        Some(uncounted) => vec![bounds(t.write_off_means, uncounted, lang), t.write_off_later.to_owned()],
        None => vec![t.write_off_nothing.to_owned()],
    };
    Ok(Confirm {
        title: fill(t.write_off_of, &[&node.name]),
        lines,
        action: format!("{HERE}/{id}/write-off"),
        back: HERE.to_owned(),
        button: t.write_off,
        possible: uncounted.is_some(),
        ..Confirm::new(lang)
    })
}

async fn write_off_ask(State(services): State<Services>, Operator(viewer): Operator, Which(named): Which) -> Paged {
    let sheet = write_off_sheet(&services, &viewer, &named).await?;
    Ok(sheet.page(Chrome::operator(&viewer, Place::Nodes)))
}

async fn write_off(
    State(services): State<Services>,
    Operator(viewer): Operator,
    Which(named): Which,
    _: Form,
) -> Paged {
    let id: Id<Node> = named.parse().map_err(|_| ServiceError::NotFound(Noun::Node))?;
    match services.node_write_off(&viewer.principal, id).await {
        Ok(_) => Ok(viewer.go_saying(HERE, Flash::Saved)),
        Err(ServiceError::State(_)) => {
            let sheet = write_off_sheet(&services, &viewer, &named).await?;
            Ok(sheet.refused(Chrome::operator(&viewer, Place::Nodes), OpNodes::of(viewer.look.lang).write_off_nothing))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tollgate_store::usage::JournalGap;

    use super::*;
    use crate::pages::Look;

    fn node(active: bool) -> NodeView {
        let at = Timestamp::from_millis(1_795_167_000_000);
        NodeView {
            id: Id::from_parts(1, &[7; 10]),
            name: "host-1".parse().unwrap(),
            version: "0.1.0".into(),
            joined_at: at.minus(Duration::from_secs(60)),
            renewed_at: at,
            applied: Seq(41),
            active,
            journal_bytes: 5_000,
            complete_until: at,
            epoch: 1,
            lease: Some(Duration::from_secs(10)),
            uncounted: None,
            written_off_at: None,
        }
    }

    #[test]
    fn what_is_wrong_with_a_node_is_said_and_nothing_else() {
        let at = node(true).renewed_at;
        let wrong = |node: NodeView, head: i64, now| Row::of(node, Seq(head), now, Lang::En).wrong.len();
        assert_eq!(wrong(node(true), 41, at), 0);
        assert_eq!(wrong(node(true), 42, at), 1);
        assert_eq!(wrong(node(true), 42, at.plus(Duration::from_secs(60))), 3);
        assert_eq!(wrong(node(false), 42, at.plus(Duration::from_secs(60))), 1);
        assert_eq!(wrong(NodeView { journal_bytes: MUCH_JOURNAL + 1, ..node(true) }, 41, at), 1);
        assert_eq!(bytes(Lang::En, 5_000), "4 KiB");
        let uncounted = Some(Uncounted { at_least: 12, at_most: 4_012, since: at, until: at });
        for (written_off_at, offered) in [(None, true), (Some(at), false)] {
            let row = Row::of(NodeView { uncounted, written_off_at, ..node(false) }, Seq(41), at, Lang::En);
            assert!(
                row.wrong.len() == 1 && row.wrong[0].contains("12") && row.wrong[0].contains("4,012"),
                "{:?}",
                row.wrong
            );
            assert_eq!(row.uncounted, offered);
        }
    }

    #[test]
    fn the_page_renders_in_both_languages() {
        for lang in Lang::ALL {
            for paused in [false, true] {
                let rows = vec![Row::of(node(true), Seq(50), node(true).renewed_at, lang)];
                let gap = LostRecords {
                    journal: Id::from_parts(2, &[7; 10]),
                    gap: JournalGap { first: 7, records: 4_321 },
                    noticed_at: Timestamp::default(),
                };
                let page = ListPage {
                    chrome: Chrome::bare(Look { lang, ..Look::default() }),
                    t: OpNodes::of(lang),
                    paused,
                    now: When(Timestamp::default()),
                    rows,
                    serving: true,
                    lost: lost(&[gap], lang),
                };
                let html = page.render().unwrap();
                assert!(html.contains("host-1") && html.contains("hx-trigger") != paused, "{html}");
                assert!(html.contains(&lang.count(4_321)), "{html}");
            }
        }
    }
}
