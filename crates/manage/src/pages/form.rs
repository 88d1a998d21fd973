//! What a form sends, read with limits; and what is said beside its fields.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};

use super::failure::Failure;
use crate::{
    extract,
    services::{ServiceError, Services},
};

/// Most fields of a form: a key names at most 1,000 models.
const MOST_FIELDS: usize = 2_000;

/// The fields of a form, in the order sent. Taking it proves that a page of ours sent it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Form(Vec<(String, String)>);

impl FromRequest<Services> for Form {
    type Rejection = Failure;
    async fn from_request(request: Request, services: &Services) -> Result<Self, Failure> {
        extract::check_same_site(request.headers(), services)?;
        let bytes = extract::read_body(request).await?;
        let fields: Vec<(String, String)> = form_fields(&bytes)?;
        Ok(Self(fields))
    }
}

fn form_fields(bytes: &[u8]) -> Result<Vec<(String, String)>, ServiceError> {
    // The limit goes before the reading: nothing is allocated for what will be refused.
    if bytes.iter().filter(|b| **b == b'&').count() >= MOST_FIELDS {
        return Err(ServiceError::TooLarge);
    }
    let fields: Vec<(String, String)> = form_urlencoded::parse(bytes).into_owned().collect();
    if fields.iter().any(|(_, value)| value.contains('\0')) {
        return Err(ServiceError::invalid("", "a text has no NUL character"));
    }
    Ok(fields)
}

impl Form {
    /// As if it had been sent: to show a form with what is there.
    pub(crate) fn of<const N: usize>(fields: [(&str, String); N]) -> Self {
        Self(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }
    /// The first field of this name, without blanks at its ends; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }
    /// The first field of this name as it was typed: for passwords.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
    /// The field, where it says something.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }
    /// The version of what the form was made from. One without it was not made by us: it is as old as can be.
    pub(crate) fn version(&self) -> i64 {
        self.text("version").parse().unwrap_or(0)
    }
    /// Every field of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
    /// Whether a box of this name is ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }
}

/// What is wrong, by field; the empty name is for the form as a whole.
#[derive(Debug, Default, Clone)]
pub(crate) struct FieldErrors(BTreeMap<&'static str, String>);

impl FieldErrors {
    /// Notes what is wrong with a field; the first thing said about it stays.
    pub(crate) fn add(&mut self, field: &'static str, text: impl Into<String>) {
        self.0.entry(field).or_insert_with(|| text.into());
    }
    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// What is wrong with a field; for templates.
    pub(crate) fn get(&self, field: &str) -> Option<&String> {
        self.0.get(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = Form(form_fields(b"name=+a+%3Cb%3E%20&models=x&models=y%2Bz&all=on&empty=").unwrap());
        assert_eq!((form.text("name"), form.raw("name")), ("a <b>", " a <b> "));
        assert_eq!(form.all("models").collect::<Vec<_>>(), ["x", "y+z"]);
        assert!(form.ticked("all") && !form.ticked("empty") && !form.ticked("none"));
        assert_eq!((form.some("empty"), form.text("none")), (None, ""));
    }

    #[test]
    fn nonsense_in_a_form_is_refused() {
        assert!(form_fields(b"a=%00").is_err());
        assert!(matches!(form_fields("a&".repeat(MOST_FIELDS).as_bytes()), Err(ServiceError::TooLarge)));
        assert!(form_fields(b"").unwrap().is_empty());
    }
}
