//! The fields that the sheets for making and editing a key share: what they show, what was typed, what that means.

use std::{collections::BTreeSet, time::Duration};

use tollgate_core::{
    Key, OriginError, Origins, Permission, Timestamp,
    catalog::ModelKind,
    name::{Label, ModelName},
};
use tollgate_store::PageRequest;

use super::super::{
    FieldErrors, Form, Lang, When,
    texts::{Errors, Keys, fill},
};
use crate::services::{ServiceError, Services};

/// A day.
const DAY: Duration = Duration::from_secs(86_400);
/// The lengths of life to choose from, in days.
const LIVES: [(&str, u32); 3] = [("30", 30), ("90", 90), ("365", 365)];

/// The fields as they are shown.
pub(super) struct Fields {
    pub(super) typed: Typed,
    pub(super) models: Vec<ModelOption>,
    /// The catalogue has more models than are shown.
    pub(super) is_cut: bool,
    pub(super) errors: FieldErrors,
    /// Editing: when the key ends now.
    pub(super) keep: Option<Option<When>>,
}

/// A model to be ticked.
pub(super) struct ModelOption {
    pub(super) name: String,
    pub(super) title: Option<String>,
    pub(super) kind: &'static str,
    pub(super) ticked: bool,
}

/// What stands in the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) name: String,
    /// `all`, `list` or nothing.
    pub(super) access: String,
    pub(super) models: BTreeSet<String>,
    /// `never`, `30`, `90`, `365`, `date`, `keep`.
    pub(super) expiry: String,
    pub(super) date: String,
    /// The browser's time zone, where it tells.
    pub(super) zone: String,
    pub(super) note: String,
    /// One on a line.
    pub(super) origins: String,
}

/// What the fields mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meant {
    pub(super) name: Label,
    pub(super) permission: Permission,
    /// `None`: as it is.
    pub(super) expires_at: Option<Option<Timestamp>>,
    pub(super) note: Option<String>,
    pub(super) allowed_origins: Origins,
}

impl Typed {
    /// Of a sheet that was just opened for a new key: no model is permitted by default.
    pub(super) fn new() -> Self {
        Self { access: "list".to_owned(), expiry: "never".to_owned(), ..Self::default() }
    }
    /// A key as it is.
    pub(super) fn of(key: &Key) -> Self {
        let (access, models) = match &key.permission {
            Permission::All => ("all", BTreeSet::new()),
            Permission::Models(names) => ("list", names.iter().map(ToString::to_string).collect()),
        };
        Self {
            name: key.name.to_string(),
            access: access.to_owned(),
            models,
            expiry: "keep".to_owned(),
            note: key.note.clone().unwrap_or_default(),
            origins: key.allowed_origins.to_string().replace(' ', "\n"),
            ..Self::default()
        }
    }
    pub(super) fn from_form(form: &Form) -> Self {
        Self {
            name: form.text("name").to_owned(),
            access: form.text("access").to_owned(),
            models: form.all("models").map(str::to_owned).collect(),
            expiry: form.text("expiry").to_owned(),
            date: form.text("date").to_owned(),
            zone: form.text("zone").to_owned(),
            // Browsers send line ends as CR LF.
            note: form.text("note").replace("\r\n", "\n"),
            origins: form.text("origins").replace("\r\n", "\n"),
        }
    }

    /// What it means, or what is wrong with it.
    pub(super) fn read(&self, now: Timestamp, lang: Lang) -> Result<Meant, FieldErrors> {
        let (t, e) = (Keys::of(lang), Errors::of(lang));
        let mut errors = FieldErrors::default();
        let name = self.name.parse::<Label>();
        if name.is_err() {
            errors.add("name", if self.name.is_empty() { e.required } else { e.bad_name });
        }
        let permission = self.permission(t);
        let expires_at = self.expires_at(now, t);
        if let Err(text) = &permission {
            errors.add("models", text.as_str());
        }
        if let Err(text) = expires_at {
            errors.add(if self.expiry == "date" { "date" } else { "expiry" }, text);
        }
        if self.note.chars().count() > Key::LONGEST_NOTE {
            errors.add("note", t.long_note);
        }
        let origins = self.origins.parse::<Origins>();
        if let Err(error) = origins {
            let text = if error == OriginError::TooMany { t.most_origins } else { t.bad_origin };
            errors.add("origins", text);
        }
        match (name, permission, expires_at, origins) {
            (Ok(name), Ok(permission), Ok(expires_at), Ok(allowed_origins)) if errors.is_empty() => {
                let note = Some(self.note.clone()).filter(|note| !note.is_empty());
                Ok(Meant { name, permission, expires_at, note, allowed_origins })
            }
            _ => Err(errors),
        }
    }

    fn permission(&self, t: &'static Keys) -> Result<Permission, String> {
        match self.access.as_str() {
            "all" => Ok(Permission::All),
            "list" if self.models.is_empty() => Err(t.need_models.to_owned()),
            "list" if self.models.len() > Permission::MOST_MODELS => Err(t.most_models.to_owned()),
            "list" => {
                let parse = |name: &String| name.parse::<ModelName>().map_err(|_| fill(t.unknown_model, &[name]));
                self.models.iter().map(parse).collect::<Result<_, _>>().map(Permission::Models)
            }
            _ => Err(t.need_access.to_owned()),
        }
    }

    fn expires_at(&self, now: Timestamp, t: &'static Keys) -> Result<Option<Option<Timestamp>>, &'static str> {
        match self.expiry.as_str() {
            // A form without the field, too: nothing was chosen.
            "keep" => Ok(None),
            "never" | "" => Ok(Some(None)),
            "date" => {
                let end = end_of(&self.date, &self.zone).ok_or(t.bad_date)?;
                if end > now { Ok(Some(Some(end))) } else { Err(t.past_date) }
            }
            other => {
                let days = LIVES.iter().find(|(word, _)| *word == other).ok_or(t.bad_expiry)?.1;
                Ok(Some(Some(now.plus(DAY * days))))
            }
        }
    }
}

/// The end of a day in a zone; a zone that is not known is UTC.
fn end_of(date: &str, zone: &str) -> Option<Timestamp> {
    // Exactly a date: jiff would also take a date with a time and cut the time off.
    let date: jiff::civil::Date = Some(date).filter(|date| date.len() == 10)?.parse().ok()?;
    let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let end: Timestamp = date.tomorrow().ok()?.to_zoned_datetime(zone).ok()?.timestamp().into();
    Some(end)
}

impl Fields {
    /// The fields with what was typed in them, and the models to choose from.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn load(services: &Services, typed: Typed, errors: FieldErrors) -> Result<Self, ServiceError> {
        let page = PageRequest { cursor: None, limit: PageRequest::MOST };
        let catalogue = services.model_list(&page).await?;
        let mut models: Vec<ModelOption> = catalogue
            .data
            .into_iter()
            .map(|model| ModelOption {
                ticked: typed.models.contains(model.name.as_str()),
                name: model.name.to_string(),
                title: model.title.map(|title| title.to_string()),
                kind: kind_word(model.kind),
            })
            .collect();
        let is_cut = catalogue.next_cursor.is_some();
        // What was ticked stays in sight: models behind the last one shown, and those withdrawn meanwhile.
        let shown: BTreeSet<&str> = models.iter().map(|model| model.name.as_str()).collect();
        let missing = typed.models.iter().filter(|name| !shown.contains(name.as_str()));
        let missing: Vec<ModelOption> =
            missing.map(|name| ModelOption { name: name.clone(), title: None, kind: "", ticked: true }).collect();
        models.extend(missing);
        Ok(Self { typed, models, is_cut, errors, keep: None })
    }
    /// Whether the fields that few need are shown from the beginning.
    pub(super) fn needs_more(&self) -> bool {
        !self.typed.origins.is_empty() || self.error("origins").is_some()
    }
    /// The choices of an end, in words.
    pub(super) fn expiries(&self, t: &'static Keys) -> Vec<(&'static str, &'static str, bool)> {
        let mut choices = vec![
            ("never", t.expiry_never),
            ("30", t.expiry_30),
            ("90", t.expiry_90),
            ("365", t.expiry_365),
            ("date", t.expiry_date),
        ];
        if self.keep.is_some() {
            choices.insert(0, ("keep", t.expiry_keep));
        }
        choices.into_iter().map(|(word, text)| (word, text, self.typed.expiry == word)).collect()
    }
    /// What is wrong with a field.
    pub(super) fn error(&self, field: &str) -> Option<&String> {
        self.errors.get(field)
    }
    /// Notes what the service found wrong; whatever belongs to no field goes up.
    ///
    /// # Errors
    /// The error, where it is none of an input.
    pub(super) fn refuse(error: ServiceError, lang: Lang) -> Result<FieldErrors, ServiceError> {
        let (t, e) = (Keys::of(lang), Errors::of(lang));
        let mut errors = FieldErrors::default();
        match error {
            ServiceError::Invalid { field, message } => match field.as_str() {
                // The store's words quote the name.
                "models" => {
                    errors.add("models", fill(t.unknown_model, &[&message.split('"').nth(1).unwrap_or(&message)]));
                }
                "expires_at" => errors.add("expiry", t.past_date),
                "note" => errors.add("note", t.long_note),
                _ => errors.add("", e.check_fields),
            },
            ServiceError::Unavailable(_) | ServiceError::TooSlow => errors.add("", t.try_again),
            other => return Err(other),
        }
        Ok(errors)
    }
}

/// The word for a kind, as the catalogue has it.
const fn kind_word(kind: ModelKind) -> &'static str {
    kind.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }
    fn typed(name: &str, access: &str, models: &[&str], expiry: &str, date: &str) -> Typed {
        Typed {
            name: name.to_owned(),
            access: access.to_owned(),
            models: models.iter().map(|name| (*name).to_owned()).collect(),
            expiry: expiry.to_owned(),
            date: date.to_owned(),
            ..Typed::default()
        }
    }

    #[test]
    fn a_form_means_what_it_says() {
        let now = at("2026-11-20T09:30:00Z");
        let read = |typed: &Typed| typed.read(now, Lang::En);
        let meant = read(&typed("k", "list", &["b", "a"], "30", "")).unwrap();
        assert_eq!(meant.permission, Permission::Models(vec!["a".parse().unwrap(), "b".parse().unwrap()]));
        assert_eq!(meant.expires_at, Some(Some(at("2026-12-20T09:30:00Z"))));
        // All goes before ticks that were left behind.
        let meant = read(&typed("k", "all", &["a"], "", "")).unwrap();
        assert_eq!((meant.permission, meant.expires_at), (Permission::All, Some(None)));
        assert_eq!(read(&typed("k", "all", &[], "keep", "x")).unwrap().expires_at, None);
        let origins =
            Typed { origins: "https://b.example\n\nhttps://A.example".into(), ..typed("k", "all", &[], "", "") };
        assert_eq!(read(&origins).unwrap().allowed_origins.to_string(), "https://a.example https://b.example");
        let mut dated = typed("k", "all", &[], "date", "2026-11-20");
        assert_eq!(read(&dated).unwrap().expires_at, Some(Some(at("2026-11-21T00:00:00Z"))));
        dated.zone = "Asia/Ho_Chi_Minh".to_owned();
        assert_eq!(read(&dated).unwrap().expires_at, Some(Some(at("2026-11-20T17:00:00Z"))));
        dated.zone = "Mars/Olympus".to_owned();
        assert_eq!(read(&dated).unwrap().expires_at, Some(Some(at("2026-11-21T00:00:00Z"))));
    }

    #[test]
    fn what_is_wrong_is_said_beside_its_field() {
        let now = at("2026-11-20T09:30:00Z");
        for (typed, field) in [
            (typed("", "all", &[], "never", ""), "name"),
            (typed(&"x".repeat(201), "all", &[], "never", ""), "name"),
            (typed("k", "", &["a"], "never", ""), "models"),
            (typed("k", "list", &[], "never", ""), "models"),
            (typed("k", "list", &["<script>"], "never", ""), "models"),
            (typed("k", "all", &[], "soon", ""), "expiry"),
            (typed("k", "all", &[], "date", ""), "date"),
            (typed("k", "all", &[], "date", "2026-11-19"), "date"),
            (typed("k", "all", &[], "date", "2030-02-30"), "date"),
            (typed("k", "all", &[], "date", "9999-12-31"), "date"),
            (Typed { note: "x".repeat(2_001), ..typed("k", "all", &[], "never", "") }, "note"),
            (Typed { origins: "*".to_owned(), ..typed("k", "all", &[], "never", "") }, "origins"),
            (Typed { origins: "https://a.example/x".to_owned(), ..typed("k", "all", &[], "never", "") }, "origins"),
        ] {
            let errors = typed.read(now, Lang::Vi).unwrap_err();
            assert!(errors.get(field).is_some(), "{field}: {errors:?}");
        }
        let errors = typed("", "", &[], "x", "").read(now, Lang::En).unwrap_err();
        assert!(["name", "models", "expiry"].iter().all(|field| errors.get(field).is_some()), "all at once");
    }
}
