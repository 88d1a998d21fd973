//! Where people and programs reach this deployment, as pages write it down.

use http::{HeaderMap, header};

/// Where this deployment is reached when neither its settings nor the request say so.
const NOWHERE: &str = "http://127.0.0.1:8080";

/// As the deployment says itself, else as this browser did. Shown to this browser alone.
pub(super) fn base_url(public_url: Option<&str>, headers: &HeaderMap) -> String {
    if let Some(url) = public_url {
        return url.to_owned();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // A name or address and a port, nothing that a shell or a program would read otherwise.
    let fits = |host: &&str| {
        !host.is_empty()
            && host.len() <= 255
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
    };
    host.filter(fits).map_or_else(|| NOWHERE.to_owned(), |host| format!("http://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_deployments_own_else_the_browsers_and_never_nonsense() {
        let with = |host: &str| base_url(None, &[(header::HOST, host.parse().unwrap())].into_iter().collect());
        assert_eq!(base_url(Some("https://gate.example"), &HeaderMap::new()), "https://gate.example");
        assert_eq!(with("gate.example:8080"), "http://gate.example:8080");
        assert_eq!(with("[::1]:8080"), "http://[::1]:8080");
        for odd in ["x y", "a;b", "$(reboot)", "a\"b", ""] {
            assert_eq!(with(odd), NOWHERE, "{odd:?}");
        }
        assert_eq!(base_url(None, &HeaderMap::new()), NOWHERE);
    }
}
