//! `[leaks]`: from where reports of leaked keys are taken.

use std::path::Path;

use http::Uri;
use tollgate_core::seal::SecretText;
use tollgate_manage::LeakOptions;

use super::{Environment, Section, SettingsError};

/// The longest name of a type of token, as scanners take it.
const LONGEST_TYPE: usize = 100;
/// The least that a secret has that guards a way in, in bytes.
const LEAST_SECRET: usize = 16;

pub(super) fn options(
    root: &Section<'_>,
    base: &Path,
    environment: &Environment,
) -> Result<LeakOptions, SettingsError> {
    let leaks = root.section("leaks")?;
    let secret = |name: &str, least: usize| -> Result<Option<SecretText>, SettingsError> {
        let missing = || leaks.invalid(name, "the file or variable that it names is not there".to_owned());
        let text = leaks.secret_text(name, base, environment)?.ok_or_else(missing)?;
        match text.len() {
            0 => Ok(None),
            length if length < least => {
                Err(leaks.invalid(name, format!("must have {least} bytes or more: whoever guesses it ends keys")))
            }
            _ => Ok(Some(SecretText::new(text))),
        }
    };
    let address = |name: &str| -> Result<Option<String>, SettingsError> {
        let text = leaks.text(name)?;
        let fits = |uri: &Uri| matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some();
        match text.parse::<Uri>() {
            _ if text.is_empty() => Ok(None),
            Ok(uri) if fits(&uri) => Ok(Some(text.to_owned())),
            _ => Err(leaks.invalid(name, "must be an https: address".to_owned())),
        }
    };
    let token_type = leaks.text("token_type")?;
    let fits = (1..=LONGEST_TYPE).contains(&token_type.len())
        && token_type.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !fits {
        return Err(leaks.invalid("token_type", "must have 1 to 100 of a-z, 0-9 and _".to_owned()));
    }
    let api = address("github_api")?;
    Ok(LeakOptions {
        token_type: token_type.to_owned(),
        github_keys: address("github_keys")?,
        github_token: secret("github_token", 1)?,
        github_api: api.ok_or_else(|| leaks.invalid("github_api", "is empty".to_owned()))?,
        github_webhook: secret("github_webhook", LEAST_SECRET)?,
        gitlab_token: secret("gitlab_token", LEAST_SECRET)?,
    })
}
