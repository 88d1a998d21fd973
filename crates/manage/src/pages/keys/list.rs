//! The list: filtered, searched, sorted and paged by the server, so that it holds at any number of keys.
//!
//! The filter is a plain form and the sort links plain links; where the script runs they exchange `#keys` alone.

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use http::StatusCode;
use tollgate_core::{Key, KeyStatus, account::AccountAction};
use tollgate_store::{
    Page, PageRequest,
    keys::{KeyFilter, KeyOrder, KeySort},
};

use super::{
    super::{
        Chrome, Paged, Place, Viewer, render,
        texts::{Keys, plural},
    },
    view::{KeyView, back_query},
};
use crate::services::{ServiceError, Services};

/// The longest search, in characters; what is typed behind is cut off.
const LONGEST_SEARCH: usize = 200;

/// What the address asks for; what it says wrongly is as if it were not said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    search: String,
    status: Option<KeyStatus>,
    order: KeyOrder,
    cursor: Option<String>,
}

/// The orders, by their names in addresses.
const ORDERS: [(&str, KeySort, bool); 8] = [
    ("-created", KeySort::Created, false),
    ("created", KeySort::Created, true),
    ("name", KeySort::Name, true),
    ("-name", KeySort::Name, false),
    ("-used", KeySort::LastUsed, false),
    ("used", KeySort::LastUsed, true),
    ("expires", KeySort::Expiry, true),
    ("-expires", KeySort::Expiry, false),
];

impl Asked {
    fn read(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "search" => {
                    let text = value.trim().chars().filter(|c| *c != '\0');
                    asked.search = text.take(LONGEST_SEARCH).collect();
                }
                "status" => asked.status = KeyStatus::ALL.into_iter().find(|status| status.as_str() == value),
                "sort" => {
                    if let Some((_, by, ascending)) = ORDERS.iter().find(|(word, ..)| *word == value) {
                        (asked.order.by, asked.order.ascending) = (*by, *ascending);
                    }
                }
                "after" | "before" => {
                    asked.cursor = Some(value.into_owned()).filter(|cursor| !cursor.is_empty());
                    asked.order.backwards = name == "before" && asked.cursor.is_some();
                }
                _ => {}
            }
        }
        asked
    }
    fn sort_word(by: KeySort, ascending: bool) -> &'static str {
        ORDERS.iter().find(|order| (order.1, order.2) == (by, ascending)).map_or("", |order| order.0)
    }
    fn is_filtered(&self) -> bool {
        !self.search.is_empty() || self.status.is_some()
    }
    /// The query that asks for this, in this order, from this page on.
    fn query(&self, by: KeySort, ascending: bool, page: Option<(&str, &str)>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.search.is_empty() {
            query.append_pair("search", &self.search);
        }
        if let Some(status) = self.status {
            query.append_pair("status", status.as_str());
        }
        if (by, ascending) != (KeySort::Created, false) {
            query.append_pair("sort", Self::sort_word(by, ascending));
        }
        if let Some((name, cursor)) = page {
            query.append_pair(name, cursor);
        }
        query.finish()
    }
    fn same(&self, page: Option<(&str, &str)>) -> String {
        self.query(self.order.by, self.order.ascending, page)
    }
}

#[derive(Template)]
#[template(path = "keys/list.html")]
struct ListPage {
    chrome: Chrome,
    t: &'static Keys,
    /// `/a/…/keys`
    base: String,
    asked: Asked,
    rows: Vec<KeyView>,
    /// `?back=…` of the sheets that rows lead to.
    back: String,
    may_create: bool,
    /// How many keys were found in public and are switched off for it, in words.
    leaked: Option<String>,
    /// How many were found and go on working, in words.
    told: Option<String>,
    first: Option<String>,
    previous: Option<String>,
    next: Option<String>,
}

impl ListPage {
    fn statuses(&self) -> [(&'static str, &'static str, bool); 5] {
        let t = self.t;
        let words = [t.active, t.disabled, t.expired, t.revoked, t.leaked];
        let mut at = words.into_iter();
        KeyStatus::ALL.map(|status| (status.as_str(), at.next().unwrap_or_default(), self.asked.status == Some(status)))
    }
    fn sorts(&self) -> [(&'static str, &'static str, bool); 8] {
        let t = self.t;
        let words = [
            t.sort_newest,
            t.sort_oldest,
            t.sort_name,
            t.sort_name_down,
            t.sort_used,
            t.sort_unused,
            t.sort_ends,
            t.sort_ends_last,
        ];
        let mut at = words.into_iter();
        let order = self.asked.order;
        ORDERS.map(|(word, by, ascending)| {
            (word, at.next().unwrap_or_default(), (order.by, order.ascending) == (by, ascending))
        })
    }
    /// A head of the table that sorts: its id, words, address, and how it is sorted by now.
    fn head(&self, by: &str) -> Head {
        let t = self.t;
        // What people look for first: the latest of a time that was, the soonest of one that comes.
        let (by, label, first_ascending, id) = match by {
            "name" => (KeySort::Name, t.name, true, "sort-name"),
            "created" => (KeySort::Created, t.created, false, "sort-created"),
            "used" => (KeySort::LastUsed, t.last_used, false, "sort-used"),
            _ => (KeySort::Expiry, t.expires, true, "sort-expires"),
        };
        let order = self.asked.order;
        let now = (order.by == by).then_some(order.ascending);
        let ascending = now.map_or(first_ascending, |ascending| !ascending);
        let query = self.asked.query(by, ascending, None);
        Head { id, label, href: address(&self.base, &query), sorted: now }
    }
}

/// A head of a column that sorts.
struct Head {
    id: &'static str,
    label: &'static str,
    href: String,
    sorted: Option<bool>,
}
impl Head {
    fn aria(&self) -> &'static str {
        match self.sorted {
            None => "none",
            Some(true) => "ascending",
            Some(false) => "descending",
        }
    }
    fn arrow(&self) -> &'static str {
        match self.sorted {
            None => "",
            Some(true) => "↑",
            Some(false) => "↓",
        }
    }
}

fn address(base: &str, query: &str) -> String {
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

pub(super) async fn show(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Paged {
    let access = viewer.enter(&services, &account).await?;
    let asked = Asked::read(query.as_deref().unwrap_or_default());
    let filter = KeyFilter {
        status: asked.status,
        search: Some(asked.search.clone()).filter(|search| !search.is_empty()),
        created_by: None,
        order: asked.order,
    };
    let page = PageRequest { cursor: asked.cursor.clone(), limit: 0 };
    let base = format!("/a/{}/keys", access.account.handle);
    let keys = match services.key_list_of(&access, &filter, &page).await {
        Ok(keys) => keys,
        // A page of an order that is not this one's: from the beginning, then.
        Err(ServiceError::Invalid { .. }) => return Ok(viewer.go(&address(&base, &asked.same(None)))),
        Err(error) => return Err(error.into()),
    };
    let now = services.world.now();
    let lang = viewer.look.lang;
    let links = links(&asked, &keys, &base);
    let rows: Vec<KeyView> = keys.data.into_iter().map(|key| KeyView::new(key, &access, now, lang)).collect();
    let here = query.as_deref().filter(|query| !query.is_empty());
    let (leaked, told) = services.leaked_keys(&access).await?;
    let t = Keys::of(lang);
    let html = ListPage {
        t,
        base,
        leaked: (leaked > 0).then(|| plural(lang, leaked, t.leaked_one, t.leaked_many)),
        told: (told > 0).then(|| plural(lang, told, t.told_one, t.told_many)),
        rows,
        back: back_query(here),
        may_create: access.role().may(AccountAction::KeyCreate),
        first: links.0,
        previous: links.1,
        next: links.2,
        asked,
        chrome: Chrome::account(&viewer, &services, &access, Place::Keys),
    };
    Ok(render(StatusCode::OK, &html))
}

/// The addresses of the first page, the one before and the one behind, where they are.
fn links(asked: &Asked, keys: &Page<Key>, base: &str) -> (Option<String>, Option<String>, Option<String>) {
    let order = asked.order;
    let to = |name, cursor: &str| address(base, &asked.same(Some((name, cursor))));
    let first = asked.cursor.is_some().then(|| address(base, &asked.same(None)));
    let edge = |key: Option<&Key>, name| key.map(|key| to(name, &order.cursor(key)));
    let (previous, next) = if order.backwards {
        let previous = keys.next_cursor.as_deref().map(|cursor| to("before", cursor));
        (previous, edge(keys.data.last(), "after"))
    } else {
        let previous = first.is_some().then(|| edge(keys.data.first(), "before")).flatten();
        (previous, keys.next_cursor.as_deref().map(|cursor| to("after", cursor)))
    };
    (first, previous, next)
}

/// In words of this language; for tests of other parts.
#[cfg(test)]
pub(super) fn sample(lang: super::super::Lang, rows: Vec<KeyView>, query: &str, may_create: bool) -> String {
    let look = super::super::Look { lang, ..Default::default() };
    let page = ListPage {
        chrome: Chrome::bare(look),
        t: Keys::of(lang),
        base: "/a/acme/keys".to_owned(),
        asked: Asked::read(query),
        leaked: Some("2".to_owned()),
        told: Some("1".to_owned()),
        rows,
        back: back_query(Some(query)),
        may_create,
        first: Some("/a/acme/keys".to_owned()),
        previous: None,
        next: Some("/a/acme/keys?after=k31".to_owned()),
    };
    page.render().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_again() {
        let query = "search=a+%26+%3Cb%3E&status=leaked&sort=-name&after=k31";
        let asked = Asked::read(query);
        assert_eq!(asked.search, "a & <b>");
        assert_eq!(asked.same(Some(("after", "k31"))), query);
        assert_eq!(Asked::read("search=++&status=asleep&sort=size&after=&page=9&%00"), Asked::default());
        assert_eq!(Asked::default().same(None), "");
        let long = Asked::read(&format!("search={}", "é".repeat(1_000)));
        assert_eq!(long.search.chars().count(), LONGEST_SEARCH);
        let back = Asked::read("before=k31&sort=used");
        assert!(back.order.backwards && back.order.ascending && back.order.by == KeySort::LastUsed);
    }
}
