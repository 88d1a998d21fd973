//! `nodes`: the running processes. Operators only.

use axum::{Json, extract::State, response::IntoResponse};
use serde::Serialize;
use tollgate_core::{Id, Seq, Timestamp, change::Node, usage::Journal};
use tollgate_store::changes::{NodeView, Uncounted};
use utoipa::ToSchema;

use super::{Answer, List, usage::Bounds};
use crate::{
    extract::{Named, Nothing, OptionalBody},
    principal::Principal,
    services::Services,
};

/// A running process.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
struct NodeOut {
    #[schema(value_type = String, example = "node_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Node>,
    #[schema(example = "host-1")]
    name: String,
    /// The program's version on it.
    #[schema(example = "0.1.0")]
    version: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    joined_at: Timestamp,
    /// When it last renewed its lease.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00Z")]
    renewed_at: Timestamp,
    /// When its lease ends unless it is renewed; null where the lease is held as long as the process runs (SQLite), and
    /// where there is none.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-20T09:30:10Z")]
    lease_until: Option<Timestamp>,
    /// Grows each time it joins.
    #[schema(example = 1)]
    epoch: i64,
    /// What it has applied of the change log.
    #[schema(example = 42)]
    applied: i64,
    /// Where the change log ends; above `applied`: the node has yet to apply the rest.
    #[schema(example = 42)]
    head: i64,
    /// Whether it holds a lease, and so serves.
    #[schema(example = true)]
    active: bool,
    /// Bytes of its journal that are not counted yet.
    #[schema(example = 0)]
    journal_bytes: u64,
    /// Everything that ended before is counted; null where it has said nothing yet.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-20T09:30:00Z")]
    complete_until: Option<Timestamp>,
    /// What it has begun that is not counted, where it is gone: until it is counted or written off, usage is complete only up
    /// to what this node last said. Null while it serves, and where all is counted.
    uncounted: Option<Bounds>,
    /// When that was written off.
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    written_off_at: Option<Timestamp>,
}

impl NodeOut {
    fn new(node: NodeView, head: Seq) -> Self {
        Self {
            lease_until: node.lease.filter(|_| node.active).map(|lease| node.renewed_at.plus(lease)),
            id: node.id,
            name: node.name.to_string(),
            version: node.version,
            joined_at: node.joined_at,
            renewed_at: node.renewed_at,
            epoch: node.epoch,
            applied: node.applied.0,
            head: head.0,
            active: node.active,
            journal_bytes: node.journal_bytes,
            complete_until: Some(node.complete_until).filter(|at| *at > Timestamp::default()),
            uncounted: node.uncounted.map(|Uncounted { at_least, at_most, .. }| Bounds { at_least, at_most }),
            written_off_at: node.written_off_at,
        }
    }
}

/// List nodes, newest first; those gone for a day are left out, unless they have begun what is neither counted nor written
/// off.
#[utoipa::path(get, path = "/api/v1/nodes", operation_id = "node_list", tag = "nodes",
    responses((status = 200, body = List<NodeOut>)), extensions(("x-access" = json!("operator"))))]
pub(super) async fn list(State(services): State<Services>, principal: Principal) -> Answer {
    let (nodes, head) = services.node_list(&principal).await?;
    let nodes = nodes.into_iter().map(|node| NodeOut::new(node, head));
    Ok(Json(List { data: nodes.collect(), next_cursor: None }).into_response())
}

/// Give up what a node that is gone has begun and not counted, since its disk is lost. Usage counts as complete again;
/// `written_off` of a report on all accounts says how many attempts are in no row. Where the disk turns up after all, start a
/// node with its journal directory: what is on it is counted, and no more counts as written off.
///
/// A repeat changes nothing.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/write-off", operation_id = "node_write_off", tag = "nodes",
    params(("id" = String, Path, example = "node_019ab0c0d1e27f3a8b4c5d6e7f809a1b")),
    responses((status = 200, body = NodeOut),
        (status = 409, description = "not_possible: the node serves, or all that it has begun is counted")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn write_off(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Node>>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    let node = services.node_write_off(&principal, id).await?;
    let head = services.store().change_head().await?;
    Ok(Json(NodeOut::new(node, head)).into_response())
}

/// Records of a journal that could not be read.
#[derive(Debug, Serialize, ToSchema)]
struct JournalGap {
    /// Which journal: a part of a node's, of one of its workers from one start to its end.
    #[schema(value_type = String, example = "jrn_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    journal: Id<Journal>,
    /// The number of the first lost record.
    #[schema(example = 4711)]
    first_record: u64,
    /// How many are lost. At most as many requests are missing from all usage, on nobody's account.
    #[schema(example = 2)]
    records: u64,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00Z")]
    noticed_at: Timestamp,
}

/// List what of the nodes' journals could not be read when it was to be counted, newest first. Empty where no disk has
/// failed.
#[utoipa::path(get, path = "/api/v1/nodes/journal-gaps", operation_id = "node_journal_gaps", tag = "nodes",
    responses((status = 200, body = List<JournalGap>)), extensions(("x-access" = json!("operator"))))]
pub(super) async fn gaps(State(services): State<Services>, principal: Principal) -> Answer {
    let gaps = services.journal_gaps(&principal).await?.into_iter().map(|lost| JournalGap {
        journal: lost.journal,
        first_record: lost.gap.first,
        records: lost.gap.records,
        noticed_at: lost.noticed_at,
    });
    Ok(Json(List { data: gaps.collect(), next_cursor: None }).into_response())
}
