//! `[sign_in]`: how long sessions last, and the identity provider.

use std::path::Path;

use tollgate_core::{Role, name::Handle, seal::SecretText};
use tollgate_manage::{
    SignInOptions,
    services::{OidcGroup, OidcOptions, oidc_issuer_check},
};

use super::{DAY, Environment, SECOND, Section, SettingsError};

pub(super) fn options(
    root: &Section<'_>,
    base: &Path,
    environment: &Environment,
) -> Result<SignInOptions, SettingsError> {
    let sign_in = root.section("sign_in")?;
    Ok(SignInOptions {
        session_life: sign_in.duration("session_life", SECOND * 60, DAY * 365)?,
        session_idle: sign_in.duration("session_idle", SECOND * 120, DAY * 365)?,
        oidc: oidc(&sign_in.section("oidc")?, base, environment)?,
    })
}

fn oidc(oidc: &Section<'_>, base: &Path, environment: &Environment) -> Result<Option<OidcOptions>, SettingsError> {
    let groups = oidc.sections("groups", &["group", "account", "role", "operator"])?;
    let issuer = oidc.text("issuer")?;
    if issuer.is_empty() {
        return Ok(None);
    }
    oidc_issuer_check(issuer).map_err(|problem| oidc.invalid("issuer", problem.to_owned()))?;
    let filled = |name: &str| match oidc.text(name)? {
        "" => Err(oidc.invalid(name, "is empty".to_owned())),
        text => Ok(text.to_owned()),
    };
    let missing = || oidc.invalid("client_secret", "the file or variable that it names is not there".to_owned());
    let secret = oidc.secret_text("client_secret", base, environment)?.ok_or_else(missing)?;
    Ok(Some(OidcOptions {
        issuer: issuer.to_owned(),
        client_id: filled("client_id")?,
        client_secret: (!secret.is_empty()).then(|| SecretText::new(secret)),
        scopes: oidc.texts("scopes")?,
        groups_claim: filled("groups_claim")?,
        label: filled("label")?,
        create_users: oidc.boolean("create_users")?,
        groups: groups.iter().map(group).collect::<Result<_, _>>()?,
    }))
}

fn group(group: &Section<'_>) -> Result<OidcGroup, SettingsError> {
    let account: Option<Handle> = group.optional("account")?;
    let role: Option<Role> = group.optional("role")?;
    let operator = group.has("operator") && group.boolean("operator")?;
    let role = match (account, role) {
        (Some(account), Some(role)) => Some((account, role)),
        (None, None) if operator => None,
        (None, _) => return Err(group.invalid("role", "a group gives account and role, or operator = true".to_owned())),
        (Some(_), None) => {
            return Err(group.invalid("account", "which role in that account? role = \"member\"".to_owned()));
        }
    };
    Ok(OidcGroup { group: group.text("group")?.to_owned(), role, operator })
}
