//! The client of `POST /leaks`: whoever has a key may have it disabled, so no token is asked for.

use std::time::Duration;

use serde_json::json;
use tollgate_scan::FoundKey;
use ureq::http;

use super::{Failure, agent};

/// Keys of one call: what the server takes.
const MOST_KEYS: usize = 1_000;
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// A whole call.
const CALL_TIME: Duration = Duration::from_secs(60);

/// Reports these keys; says how many were taken.
pub fn report(url: &str, keys: &[&FoundKey], found_at: &str) -> Result<usize, Failure> {
    let base = url.trim_end_matches('/');
    if !base.starts_with("http://") && !base.starts_with("https://") {
        return Err(Failure::Usage(format!(
            "{base:?} is no address of a server: it is http://HOST:PORT or https://HOST"
        )));
    }
    let agent = agent(CONNECT_TIME, CALL_TIME);
    let mut taken = 0;
    for some in keys.chunks(MOST_KEYS) {
        let texts: Vec<&str> = some.iter().map(|key| key.expose()).collect();
        let body = json!({ "keys": texts, "found_at": found_at }).to_string();
        let request =
            http::Request::post(format!("{base}/leaks")).header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(body).map_err(|_| Failure::Usage(format!("{base:?} is no address")))?;
        let reported = |taken| format!("{taken} of {} keys were reported", keys.len());
        let answer = agent.run(request).map_err(|error| {
            let error = match error {
                ureq::Error::Io(error) => error.kind().to_string(),
                other => other.to_string(),
            };
            Failure::Unreachable(format!("no Tollgate answers at {base} ({error}); {}", reported(taken)))
        })?;
        match answer.status().as_u16() {
            202 => taken += some.len(),
            429 => {
                return Err(Failure::Refused(format!("the server takes no more reports for now; {}", reported(taken))));
            }
            status => {
                return Err(Failure::Refused(format!(
                    "the server refuses the report (status {status}); {}",
                    reported(taken)
                )));
            }
        }
    }
    Ok(taken)
}
