//! Mail by SMTP: one connection a mail, encrypted unless the server is this machine, its certificate verified against the
//! system's roots.
//!
//! Nothing that people typed gets into a header but through the encoders of `lettre`, and no name here holds a line's end.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
        extension::ClientId,
    },
};
use tollgate_core::{
    Id, Timestamp,
    name::{Email, Label},
    notice::{Delivery, DeliveryProblem},
    seal::SecretText,
};

use super::{Failure, letter::Letter};
use crate::pages::Lang;

/// The port of mail submission over TLS from the beginning (RFC 8314).
const SUBMISSIONS: u16 = 465;
/// The port of mail submission (RFC 6409).
const SUBMISSION: u16 = 587;
/// Headers beside the usual ones: no machine answers this mail (RFC 3834), and people can file it (RFC 2919).
const AUTO_SUBMITTED: &str = "Auto-Submitted";
const SUPPRESS: &str = "X-Auto-Response-Suppress";
const LIST_ID: &str = "List-Id";

/// How the way to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// A plain greeting, then TLS before anything else.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// None: only to this machine.
    None,
}

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct MailOptions {
    /// The mail server's name or address.
    pub host: String,
    /// Its port; 0 is the usual one.
    pub port: u16,
    /// How the way to it is encrypted.
    pub tls: MailTls,
    /// User name and password, where it wants a login.
    pub login: Option<(String, SecretText)>,
    /// Whom mail comes from: `Name <address>`.
    pub from: String,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// The language of those who chose none: `en` or `vi`.
    pub language: String,
}

/// Why mail options cannot be.
#[derive(Debug, thiserror::Error)]
pub enum MailProblem {
    /// Whom mail comes from is no mail address.
    #[error("must be a mail address, such as \"Tollgate <tollgate@example.com>\"")]
    From,
    /// Another machine without encryption.
    #[error("may be \"none\" only where the host is this machine")]
    Unencrypted,
    /// No such language.
    #[error("must be \"en\" or \"vi\"")]
    Language,
    /// The server's name cannot be in a certificate.
    #[error("is no name or address of a server")]
    Host,
}

impl MailProblem {
    /// The setting of `[mail]` that it is about.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::From => "from",
            Self::Unencrypted => "tls",
            Self::Language => "language",
            Self::Host => "host",
        }
    }
}

/// Whether mail could be sent so; nothing is connected to.
///
/// # Errors
/// Why not.
pub fn mail_options_check(options: &MailOptions) -> Result<(), MailProblem> {
    Mailer::new(options.clone()).map(drop)
}

/// Greets the mail server and logs in, without a mail.
///
/// # Errors
/// What went wrong, in words; never a password.
pub async fn mail_check(options: &MailOptions) -> Result<(), String> {
    Mailer::new(options.clone()).map_err(|problem| problem.to_string())?.check().await
}

/// Sends mail.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    timeout: Duration,
    language: Lang,
}

impl Mailer {
    pub(super) fn new(options: MailOptions) -> Result<Self, MailProblem> {
        let from: Mailbox = options.from.parse().map_err(|_| MailProblem::From)?;
        let language = Lang::from_tag(&options.language).ok_or(MailProblem::Language)?;
        let parameters = || TlsParameters::new(options.host.clone()).map_err(|_| MailProblem::Host);
        let (tls, usual_port) = match options.tls {
            MailTls::StartTls => (Tls::Required(parameters()?), SUBMISSION),
            MailTls::Implicit => (Tls::Wrapper(parameters()?), SUBMISSIONS),
            MailTls::None if is_this_machine(&options.host) => (Tls::None, SUBMISSION),
            MailTls::None => return Err(MailProblem::Unencrypted),
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&options.host);
        let mut builder = builder
            .port(if options.port == 0 { usual_port } else { options.port })
            .tls(tls)
            .timeout(Some(options.timeout))
            .hello_name(ClientId::Domain(from.email.domain().to_owned()));
        if let Some((user, password)) = &options.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(Self { transport: builder.build(), from, timeout: options.timeout, language })
    }
    pub(super) const fn language(&self) -> Lang {
        self.language
    }

    /// Sends a letter; the server's reply.
    pub(super) async fn send(
        &self,
        id: Id<Delivery>,
        name: &Label,
        email: &Email,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<Option<u16>, Failure> {
        let message = self.message(id, name, email, letter, now)?;
        match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
            Ok(Ok(reply)) => Ok(Some(reply.code().into())),
            Ok(Err(error)) => Err(failure_of(&error)),
            Err(_) => Err(Failure::new(DeliveryProblem::TimedOut)),
        }
    }
    /// Greets the server and logs in.
    pub(super) async fn check(&self) -> Result<(), String> {
        match tokio::time::timeout(self.timeout, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err("it hung up after the greeting".to_owned()),
            Ok(Err(error)) => Err(in_words(&error)),
            Err(_) => Err(format!("it did not answer within {:?}", self.timeout)),
        }
    }

    fn message(
        &self,
        id: Id<Delivery>,
        name: &Label,
        email: &Email,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<Message, Failure> {
        let unwritable = |_| Failure::last(DeliveryProblem::NoAddress);
        let address: Address = email.as_str().parse().map_err(unwritable)?;
        let domain = self.from.email.domain();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(name.to_string()), address))
            .subject(&letter.subject)
            .date(at)
            // The same at each attempt: one that arrives twice is one.
            .message_id(Some(format!("<{id}@{domain}>")))
            .raw_header(fixed(AUTO_SUBMITTED, "auto-generated"))
            .raw_header(fixed(SUPPRESS, "All"))
            .raw_header(fixed(LIST_ID, &format!("<notices.{domain}>")))
            .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))
            .map_err(|_| Failure::last(DeliveryProblem::NoAddress))
    }
}

fn fixed(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn failure_of(error: &lettre::transport::smtp::Error) -> Failure {
    let status: Option<u16> = error.status().map(Into::into);
    let problem = match status {
        // Login: required, too weak, refused (RFC 4954).
        Some(432 | 454 | 500 | 530 | 534 | 535 | 538) => DeliveryProblem::Login,
        Some(_) => DeliveryProblem::Status,
        None if error.is_timeout() => DeliveryProblem::TimedOut,
        None if error.is_tls() => DeliveryProblem::Tls,
        None if error.is_response() => DeliveryProblem::BadAnswer,
        // The server offers no encryption, or no login that we know.
        None if error.is_client() => DeliveryProblem::Tls,
        None if is_about_certificates(error) => DeliveryProblem::Tls,
        None => DeliveryProblem::Unreachable,
    };
    // What is wrong with the login or the server is mended by the operator; what the server says of the mail itself is not.
    let is_final = error.is_permanent() && problem == DeliveryProblem::Status;
    Failure { status, is_final, ..Failure::new(problem) }
}

/// A handshake that failed comes as an error of the connection.
fn is_about_certificates(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// For the operator: what the server said too.
fn in_words(error: &lettre::transport::smtp::Error) -> String {
    error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::hostile;

    fn options() -> MailOptions {
        MailOptions {
            host: "127.0.0.1".into(),
            port: 0,
            tls: MailTls::None,
            login: Some(("user".into(), SecretText::new("hunter2".into()))),
            from: "Tollgate <tollgate@example.com>".into(),
            timeout: Duration::from_secs(5),
            language: "vi".into(),
        }
    }

    #[test]
    fn no_password_goes_over_a_network_in_the_clear() {
        assert!(Mailer::new(options()).is_ok());
        let remote = MailOptions { host: "mail.example.com".into(), ..options() };
        assert!(matches!(Mailer::new(remote.clone()), Err(MailProblem::Unencrypted)));
        assert!(Mailer::new(MailOptions { tls: MailTls::StartTls, ..remote }).is_ok());
        let from = MailOptions { from: "nobody".into(), ..options() };
        assert!(matches!(Mailer::new(from), Err(MailProblem::From)));
        let language = MailOptions { language: "xx".into(), ..options() };
        assert!(matches!(Mailer::new(language), Err(MailProblem::Language)));
        assert!(!format!("{:?}", options()).contains("hunter2"));
    }

    #[test]
    fn no_name_becomes_a_header() {
        let mailer = Mailer::new(options()).unwrap();
        let id = Id::from_parts(1, &[1; 10]);
        for name in hostile::NAMES {
            // As names are checked; what is left of this one is all that gets here.
            let Ok(label) = name.parse::<Label>() else { continue };
            let letter =
                Letter { subject: format!("{name}\r\nBcc: eve@example.com"), text: "t".into(), html: "h".into() };
            let message = mailer
                .message(id, &label, &"an@example.com".parse().unwrap(), &letter, Timestamp::default())
                .ok()
                .unwrap();
            let text = String::from_utf8(message.formatted()).unwrap();
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            let names: Vec<_> = head
                .split("\r\n")
                .filter(|line| !line.starts_with([' ', '\t']))
                .map(|line| line.split(':').next().unwrap().to_ascii_lowercase())
                .collect();
            for one in ["from", "to", "subject", "date", "message-id", "auto-submitted", "list-id"] {
                assert_eq!(names.iter().filter(|name| *name == one).count(), 1, "{one}: {head}");
            }
            assert!(!names.contains(&"bcc".to_owned()), "{head}");
            assert_eq!(message.envelope().to().len(), 1);
            assert!(head.contains("Message-ID: <dlv_00000000000171018101010101010101@example.com>"), "{head}");
        }
    }
}
