//! What stands around each page: header, account menu, navigation, notices.

use tollgate_core::{Role, account::Standing};

use super::{
    assets::asset,
    look::{Lang, Look, Theme},
    texts::Common,
    viewer::Viewer,
};
use crate::{principal::Access, services::Services};

/// Where one is: the entry of the navigation that is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// An account's keys.
    Keys,
    /// An account's usage.
    Usage,
    /// What an account may use.
    Models,
    /// An account's members.
    Members,
    /// An account's audit log.
    Activity,
    /// An account's webhooks.
    Webhooks,
    /// One's own profile and sessions.
    Profile,
    /// Operator: accounts.
    Accounts,
    /// Operator: plans.
    Plans,
    /// Operator: the catalogue.
    Catalogue,
    /// Operator: upstreams.
    Upstreams,
    /// Operator: users.
    Users,
    /// Operator: usage by account.
    AllUsage,
    /// Operator: the whole audit log.
    Audit,
    /// Operator: nodes.
    Nodes,
    /// Operator: webhooks of the deployment, and mail.
    AllWebhooks,
}

/// Everything around a page's own content. Every page's template gets it as `chrome`.
pub(crate) struct Chrome {
    /// Words.
    pub(crate) t: &'static Common,
    /// Language and theme.
    pub(crate) look: Look,
    /// Who is signed in.
    pub(crate) person: Option<Person>,
    /// The account that the page is about.
    pub(crate) account: Option<AccountMark>,
    /// The others that the person may go to.
    pub(crate) others: Vec<AccountMark>,
    /// The navigation beside the page.
    pub(crate) nav: Vec<NavItem>,
    /// What was just done.
    pub(crate) flash: Option<String>,
    /// That a plan is missing, or the account suspended.
    pub(crate) notice: Option<Notice>,
    /// Path and query, for coming back after a choice of language or theme.
    pub(crate) here: String,
}

/// Who is signed in.
pub(crate) struct Person {
    /// The name.
    pub(crate) name: String,
    /// Up to two letters of it.
    pub(crate) initials: String,
    /// The mail address.
    pub(crate) email: Option<String>,
    /// Whether the operator's part is theirs.
    pub(crate) operator: bool,
    /// Where "My Account", "My usage" and "Models" lead: the account at hand, else the first.
    pub(crate) home: Option<String>,
}

/// An account in header and menu.
pub(crate) struct AccountMark {
    /// In addresses.
    pub(crate) handle: String,
    /// For people.
    pub(crate) name: String,
    /// One's role there.
    pub(crate) role: &'static str,
}

/// An entry of the navigation.
pub(crate) struct NavItem {
    /// Where it leads.
    pub(crate) href: String,
    /// Its words.
    pub(crate) label: &'static str,
    /// Its picture: a name of `icons.html`.
    pub(crate) icon: &'static str,
    /// Whether one is there.
    pub(crate) active: bool,
}

/// A notice above the page, with where to turn to.
pub(crate) struct Notice {
    /// What it says.
    pub(crate) text: &'static str,
    /// Where to ask.
    pub(crate) contact: Option<Contact>,
}

/// Where to ask for a plan; a link only where following it is harmless.
#[derive(Debug, Clone)]
pub(crate) struct Contact {
    /// The deployment's `contact_url`.
    pub(crate) url: String,
    /// Whether it is safe as a link.
    pub(crate) is_link: bool,
}
impl Contact {
    /// From the deployment's setting.
    pub(crate) fn new(url: String) -> Self {
        let is_link = ["https://", "http://", "mailto:"].iter().any(|scheme| url.starts_with(scheme));
        Self { url, is_link }
    }
}

impl Chrome {
    /// Around a page for somebody who is not signed in, or where nothing is known.
    pub(crate) fn bare(look: Look) -> Self {
        Self {
            t: Common::of(look.lang),
            look,
            person: None,
            account: None,
            others: Vec::new(),
            nav: Vec::new(),
            flash: None,
            notice: None,
            here: "/".to_owned(),
        }
    }
    /// Around a page of an account.
    pub(crate) fn account(viewer: &Viewer, services: &Services, access: &Access, place: Place) -> Self {
        let mut chrome = Self::of(viewer, Some(access.account.handle.as_str()));
        let (t, role) = (chrome.t, access.role());
        let base = format!("/a/{}", access.account.handle);
        let item = |at: Place, path: &str, label, icon| NavItem {
            href: format!("{base}/{path}"),
            label,
            icon,
            active: at == place,
        };
        chrome.nav = vec![
            item(Place::Keys, "keys", t.api_keys, "key"),
            item(Place::Usage, "usage", t.usage, "chart"),
            item(Place::Models, "models", t.models, "cube"),
        ];
        if role == Role::Owner {
            chrome.nav.push(item(Place::Members, "members", t.members, "people"));
            chrome.nav.push(item(Place::Activity, "activity", t.activity, "list"));
            chrome.nav.push(item(Place::Webhooks, "webhooks", t.webhooks, "bell"));
        }
        chrome.others.retain(|other| other.handle != access.account.handle.as_str());
        chrome.account = Some(AccountMark {
            handle: access.account.handle.to_string(),
            name: access.account.name.to_string(),
            role: role_name(t, role),
        });
        let contact = services.contact_url.clone().map(Contact::new);
        let asks = |with: &'static str, without: &'static str| if contact.is_some() { with } else { without };
        chrome.notice = match access.account.standing(services.world.now()) {
            Standing::Good => None,
            Standing::PlanRequired => Some(asks(t.plan_missing, t.plan_missing_ask)),
            Standing::Suspended => Some(asks(t.suspended, t.suspended_ask)),
        }
        .map(|text| Notice { text, contact: contact.clone() });
        chrome
    }
    /// Around a page of one's own, of no account.
    pub(crate) fn own(viewer: &Viewer, place: Place) -> Self {
        let mut chrome = Self::of(viewer, None);
        let (t, home) = (chrome.t, chrome.person.as_ref().and_then(|person| person.home.clone()));
        if let Some(home) = home {
            let item =
                |path: &str, label, icon| NavItem { href: format!("/a/{home}/{path}"), label, icon, active: false };
            chrome.nav = vec![
                item("keys", t.api_keys, "key"),
                item("usage", t.usage, "chart"),
                item("models", t.models, "cube"),
            ];
        }
        let profile =
            NavItem { href: "/me".to_owned(), label: t.profile, icon: "person", active: place == Place::Profile };
        chrome.nav.push(profile);
        chrome
    }
    /// Around a page of the documentation, for somebody signed in.
    pub(crate) fn docs(viewer: &Viewer) -> Self {
        Self::of(viewer, None)
    }
    /// The same in another language or theme.
    pub(crate) fn in_look(&mut self, look: Look) {
        self.look = look;
        self.t = Common::of(look.lang);
    }
    /// Around a page of the operator's part.
    pub(crate) fn operator(viewer: &Viewer, place: Place) -> Self {
        let mut chrome = Self::of(viewer, None);
        let t = chrome.t;
        let items = [
            (Place::Accounts, "accounts", t.op_accounts, "building"),
            (Place::Plans, "plans", t.op_plans, "tag"),
            (Place::Catalogue, "models", t.op_models, "cube"),
            (Place::Upstreams, "upstreams", t.op_upstreams, "server"),
            (Place::Users, "users", t.op_users, "people"),
            (Place::AllUsage, "usage", t.op_usage, "chart"),
            (Place::Audit, "audit", t.op_audit, "list"),
            (Place::Nodes, "nodes", t.op_nodes, "pulse"),
            (Place::AllWebhooks, "webhooks", t.webhooks, "bell"),
        ];
        let items = items.map(|(at, path, label, icon)| NavItem {
            href: format!("/operator/{path}"),
            label,
            icon,
            active: at == place,
        });
        chrome.nav = items.into();
        chrome
    }

    fn of(viewer: &Viewer, account: Option<&str>) -> Self {
        let t = Common::of(viewer.look.lang);
        let user = viewer.principal.user();
        let others: Vec<AccountMark> = user
            .memberships
            .iter()
            .map(|own| AccountMark {
                handle: own.account_handle.to_string(),
                name: own.account_handle.to_string(),
                role: role_name(t, own.role),
            })
            .collect();
        let operator = viewer.principal.is_operator();
        let home = account.map(str::to_owned).or_else(|| super::home_account(&viewer.principal));
        Self {
            t,
            look: viewer.look,
            person: Some(Person {
                name: user.name.to_string(),
                initials: initials(user.name.as_str()),
                email: user.email.as_ref().map(ToString::to_string),
                operator,
                home,
            }),
            account: None,
            others,
            nav: Vec::new(),
            flash: viewer.flash.map(|flash| flash.text(viewer.look.lang)),
            notice: None,
            here: viewer.here.clone(),
        }
    }

    /// The address of one of the console's files.
    pub(crate) fn asset(&self, name: &str) -> &'static str {
        asset(name)
    }
    /// Every language with its mark.
    pub(crate) fn langs(&self) -> [(Lang, bool); 2] {
        Lang::ALL.map(|lang| (lang, lang == self.look.lang))
    }
    /// Every theme with its words and mark.
    pub(crate) fn themes(&self) -> [(Theme, &'static str, bool); 3] {
        let t = self.t;
        [(Theme::Auto, t.theme_auto), (Theme::Light, t.theme_light), (Theme::Dark, t.theme_dark)]
            .map(|(theme, label)| (theme, label, theme == self.look.theme))
    }
}

/// A role in the reader's language.
pub(crate) const fn role_name(t: &'static Common, role: Role) -> &'static str {
    match role {
        Role::Owner => t.role_owner,
        Role::Member => t.role_member,
        Role::Viewer => t.role_viewer,
    }
}

fn initials(name: &str) -> String {
    let letters = name.split_whitespace().filter_map(|word| word.chars().find(|letter| letter.is_alphanumeric()));
    let letters: Vec<char> = letters.collect();
    let ends = [letters.first(), letters.get(1..).and_then(<[char]>::last)];
    ends.into_iter().flatten().flat_map(|letter| letter.to_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_the_first_and_the_last_word() {
        let of = ["Nguyễn Thị Ánh", "operator", "  ", "<b> \"x\"", "👩‍🚀 rocket"].map(initials);
        assert_eq!(of, ["NÁ", "O", "", "BX", "R"]);
    }
    #[test]
    fn only_harmless_addresses_become_links() {
        assert!(Contact::new("mailto:a@example.com".into()).is_link);
        assert!(!Contact::new("javascript:alert(1)".into()).is_link);
    }
}
