//! What the query of a documentation's address says. It is read strictly: a question that is not UTF-8 or there twice is
//! refused rather than guessed.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{
    pages::{Lang, Look},
    services::ServiceError,
};

/// The longest query, in bytes: a question and a goal in letters of four bytes, each byte written as three.
const LONGEST_QUERY: usize = 10 << 10;

/// The parameters that mean something; others are left alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// A question.
    pub(super) ask: Option<String>,
    /// What it is asked for.
    pub(super) goal: Option<String>,
    /// What is searched for.
    pub(super) q: Option<String>,
    /// The language, where it is not to be the reader's.
    pub(super) lang: Option<Lang>,
}

impl Asked {
    fn of(query: &str) -> Result<Self, ServiceError> {
        if query.len() > LONGEST_QUERY {
            return Err(ServiceError::invalid("ask", "ask: the query is longer than any question may be"));
        }
        let mut asked = Self::default();
        for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            match name {
                "ask" => once(&mut asked.ask, name, value)?,
                "goal" => once(&mut asked.goal, name, value)?,
                "q" => once(&mut asked.q, name, value)?,
                "lang" => asked.lang = Lang::from_tag(&decoded(name, value)?),
                _ => {}
            }
        }
        Ok(asked)
    }
    /// Language and theme: the reader's, in the language that was asked for.
    pub(super) fn look(&self, look: Look) -> Look {
        Look { lang: self.lang.unwrap_or(look.lang), ..look }
    }
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = ServiceError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ServiceError> {
        Self::of(parts.uri.query().unwrap_or_default())
    }
}

fn once(place: &mut Option<String>, name: &str, value: &str) -> Result<(), ServiceError> {
    if place.is_some() {
        return Err(ServiceError::invalid(name, format_args!("{name} is there twice")));
    }
    *place = Some(decoded(name, value)?);
    Ok(())
}

/// A value as forms write it, in UTF-8 or not at all.
fn decoded(name: &str, value: &str) -> Result<String, ServiceError> {
    let blanks = value.replace('+', " ");
    let text = percent_encoding::percent_decode_str(&blanks).decode_utf8();
    text.map(Cow::into_owned).map_err(|_| ServiceError::invalid(name, format_args!("{name} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_strictly_where_it_means_something() {
        let asked = Asked::of("utm=%ff&ask=how+do+I%3F&goal=s%E1%BB%ADa&lang=vi-VN&x").unwrap();
        assert_eq!(
            (asked.ask.as_deref(), asked.goal.as_deref(), asked.lang),
            (Some("how do I?"), Some("sửa"), Some(Lang::Vi))
        );
        assert_eq!(Asked::of("").unwrap(), Asked::default());
        for (wrong, field) in [("ask=a&ask=b", "ask"), ("ask=%ff%fe", "ask"), ("goal=%c3", "goal"), ("q=a&q=a", "q")] {
            let error = Asked::of(wrong).unwrap_err();
            assert!(matches!(&error, ServiceError::Invalid { field: own, .. } if own == field), "{wrong}: {error}");
        }
        assert!(Asked::of(&format!("ask={}", "a".repeat(LONGEST_QUERY))).is_err());
    }
}
