//! `[mail]` and `[webhooks]`: how people are told what they did not ask for.

use std::path::Path;

use tollgate_core::seal::SecretText;
use tollgate_manage::notify::{MailOptions, MailTls, NotifyOptions, mail_options_check};

use super::{Environment, SECOND, Section, SettingsError};

pub(super) fn options(
    root: &Section<'_>,
    base: &Path,
    environment: &Environment,
) -> Result<NotifyOptions, SettingsError> {
    Ok(NotifyOptions {
        mail: mail(&root.section("mail")?, base, environment)?,
        allow_private: root.section("webhooks")?.boolean("allow_private")?,
    })
}

fn mail(mail: &Section<'_>, base: &Path, environment: &Environment) -> Result<Option<MailOptions>, SettingsError> {
    let tls = match mail.text("tls")? {
        "starttls" => MailTls::StartTls,
        "implicit" => MailTls::Implicit,
        "none" => MailTls::None,
        other => {
            let problem = format!("must be \"starttls\", \"implicit\" or \"none\", not {other:?}");
            return Err(mail.invalid("tls", problem));
        }
    };
    let host = mail.text("host")?;
    if host.is_empty() {
        return Ok(None);
    }
    let missing = || mail.invalid("password", "the file or variable that it names is not there".to_owned());
    let password = mail.secret_text("password", base, environment)?.ok_or_else(missing)?;
    let login = match mail.text("username")? {
        "" if password.is_empty() => None,
        "" => return Err(mail.invalid("username", "is empty, but there is a password".to_owned())),
        username => Some((username.to_owned(), SecretText::new(password))),
    };
    let options = MailOptions {
        host: host.to_owned(),
        port: u16::try_from(mail.number("port", 0, 65_535)?).unwrap_or_default(),
        tls,
        login,
        from: mail.text("from")?.to_owned(),
        timeout: mail.duration("timeout", SECOND, SECOND * 60)?,
        language: mail.text("language")?.to_owned(),
    };
    mail_options_check(&options).map_err(|problem| mail.invalid(problem.setting(), problem.to_string()))?;
    Ok(Some(options))
}
