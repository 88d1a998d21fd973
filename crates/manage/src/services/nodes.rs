//! Nodes: who serves, what of their journals is lost, and what of them is given up. Operators only.

use tollgate_core::{Id, Seq, Timestamp, change::Node};
use tollgate_store::{changes::NodeView, usage::LostRecords};

use super::{Noun, ServiceError, Services};
use crate::principal::Principal;

/// Losses of journals that one call tells of.
const MOST_GAPS: u32 = 1_000;

/// Attempts that are in no row, of nobody knows whom: at least and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenOff {
    /// So many for certain.
    pub at_least: u64,
    /// No more than this.
    pub at_most: u64,
}

impl Services {
    /// The nodes, and where the change log ends that they follow.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn node_list(&self, principal: &Principal) -> Result<(Vec<NodeView>, Seq), ServiceError> {
        principal.require_operator()?;
        // The nodes after the head: a node that has applied more is no riddle, one that seems to lag would be.
        let head = self.store().change_head().await?;
        Ok((self.store().node_list().await?, head))
    }
    /// One of the listed nodes.
    ///
    /// # Errors
    /// A caller who may not, [`ServiceError::NotFound`], or when the store fails.
    pub async fn node_get(&self, principal: &Principal, id: Id<Node>) -> Result<NodeView, ServiceError> {
        let (nodes, _) = self.node_list(principal).await?;
        nodes.into_iter().find(|node| node.id == id).ok_or(ServiceError::NotFound(Noun::Node))
    }
    /// Gives up what a node that is gone has begun and not counted.
    ///
    /// # Errors
    /// A caller who may not, [`ServiceError::NotFound`], a node that serves or has counted everything, or when the store
    /// fails.
    pub async fn node_write_off(&self, principal: &Principal, id: Id<Node>) -> Result<NodeView, ServiceError> {
        principal.require_operator()?;
        self.store().node_write_off(&principal.actor(), id).await.map_err(ServiceError::of(Noun::Node))
    }
    /// What is written off of nodes that may have begun it between `from` and `to`.
    pub(super) async fn written_off(&self, from: Timestamp, to: Timestamp) -> Result<WrittenOff, ServiceError> {
        let (at_least, at_most) = self.store().attempts_written_off(from, to).await?;
        Ok(WrittenOff { at_least, at_most })
    }
    /// What of the nodes' journals could not be read, the newest first.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn journal_gaps(&self, principal: &Principal) -> Result<Vec<LostRecords>, ServiceError> {
        principal.require_operator()?;
        Ok(self.store().journal_gaps(MOST_GAPS).await?)
    }
}
