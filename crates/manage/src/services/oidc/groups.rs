//! The groups that a provider says a person is in, and what the settings give to them.

use std::collections::HashMap;

use serde_json::Value;
use tollgate_core::{Role, name::Handle};

use super::OidcOptions;

/// Most groups of one person that are looked at.
const MOST_GROUPS: usize = 2_000;

impl OidcOptions {
    /// A person's groups; `None` where the claim is not there.
    pub(super) fn groups(&self, claims: &HashMap<String, Value>) -> Option<Vec<String>> {
        let path = self.groups_claim.as_str();
        let found = claims.get(path).or_else(|| {
            let mut parts = path.split('.');
            let first = claims.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        })?;
        match found {
            Value::String(one) => Some(vec![one.clone()]),
            Value::Array(several) => {
                let texts = several.iter().filter_map(Value::as_str).take(MOST_GROUPS);
                Some(texts.map(str::to_owned).collect())
            }
            _ => None,
        }
    }

    /// What a person's groups give: the highest role in each account, and whether one makes an operator.
    pub(super) fn given(&self, groups: &[String]) -> (Vec<(Handle, Role)>, bool) {
        let mut roles: Vec<(Handle, Role)> = Vec::new();
        let mut operator = false;
        for own in self.groups.iter().filter(|own| groups.contains(&own.group)) {
            operator |= own.operator;
            let Some((account, role)) = &own.role else { continue };
            match roles.iter_mut().find(|(held, _)| held == account) {
                Some((_, held)) => *held = higher(*held, *role),
                None => roles.push((account.clone(), *role)),
            }
        }
        (roles, operator)
    }
}

/// The one that may do more.
fn higher(a: Role, b: Role) -> Role {
    // In the order of what they may do.
    Role::ALL.into_iter().find(|role| *role == a || *role == b).unwrap_or(a)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::OidcGroup, *};

    fn oidc(groups_claim: &str) -> OidcOptions {
        let group = |group: &str, role: Option<(&str, Role)>, operator| OidcGroup {
            group: group.into(),
            role: role.map(|(account, role)| (account.parse().unwrap(), role)),
            operator,
        };
        OidcOptions {
            issuer: "https://issuer.example".into(),
            client_id: "tollgate".into(),
            client_secret: None,
            scopes: vec![],
            groups_claim: groups_claim.into(),
            label: "Example".into(),
            create_users: false,
            groups: vec![
                group("staff", Some(("default", Role::Viewer)), false),
                group("leads", Some(("default", Role::Owner)), false),
                group("root", None, true),
            ],
        }
    }

    #[test]
    fn the_highest_role_of_all_groups_counts() {
        let groups =
            |names: &[&str]| oidc("groups").given(&names.iter().map(|name| (*name).into()).collect::<Vec<_>>());
        let default = |role| vec![("default".parse::<Handle>().unwrap(), role)];
        assert_eq!(groups(&["leads", "staff"]), (default(Role::Owner), false));
        assert_eq!(groups(&["staff", "others"]), (default(Role::Viewer), false));
        assert_eq!(groups(&["root"]), (vec![], true));
        assert_eq!(groups(&["Staff", ""]), (vec![], false));
    }

    #[test]
    fn groups_are_a_claim_or_lie_inside_one() {
        let claims = |value: Value| serde_json::from_value::<HashMap<String, Value>>(value).unwrap();
        let nested = claims(json!({"realm_access": {"roles": ["a", 1, "b"]}, "groups": "one", "a.b": ["c"]}));
        assert_eq!(oidc("realm_access.roles").groups(&nested), Some(vec!["a".into(), "b".into()]));
        assert_eq!(oidc("groups").groups(&nested), Some(vec!["one".into()]));
        assert_eq!(oidc("a.b").groups(&nested), Some(vec!["c".into()]));
        for absent in ["nothing", "realm_access", "realm_access.x", "groups.0", ""] {
            assert_eq!(oidc(absent).groups(&nested), None, "{absent}");
        }
    }
}
