//! Whoever reads the documentation: somebody signed in, or anybody.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{
    pages::{Chrome, Look, Viewer, viewer},
    services::{Services, Visitor},
};

/// A reader.
pub(super) struct Guest {
    viewer: Option<Viewer>,
    /// Language and theme.
    pub(super) look: Look,
    /// By whom questions are counted.
    pub(super) visitor: Visitor,
    here: String,
}

impl FromRequestParts<Services> for Guest {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Self::Rejection> {
        // A session that is over, or a store that is down, is no reason not to read.
        let viewer = Viewer::from_request_parts(parts, services).await.ok();
        let Ok(visitor) = Visitor::from_request_parts(parts, services).await;
        Ok(Self { viewer, look: Look::of(&parts.headers), visitor, here: viewer::here(parts) })
    }
}

impl Guest {
    /// Around a page of the documentation, in this look.
    pub(super) fn chrome(&self, look: Look) -> Chrome {
        let mut chrome = match &self.viewer {
            Some(viewer) => Chrome::docs(viewer),
            None => Chrome::bare(look),
        };
        chrome.in_look(look);
        // A choice of language is for the page, not for one that is in another by its address.
        chrome.here = self.here.split('?').next().unwrap_or_default().to_owned();
        chrome
    }
}
