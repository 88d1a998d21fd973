//! How values of the API read on the terminal, and how what is typed becomes a value of the API.

use std::time::Duration;

use serde_json::Value;
use tollgate_core::Timestamp;

/// A field's text; empty where it is absent.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A field's number with its thousands set apart; empty where it is absent.
pub fn number(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::Number(number)) => grouped(&number.to_string()),
        _ => String::new(),
    }
}

/// `1234567` as `1,234,567`.
pub fn grouped(digits: &str) -> String {
    let (whole, rest) = digits.find('.').map_or((digits, ""), |point| digits.split_at(point));
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && text != "-" {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// A field's time as a distance from now: `3 minutes ago`, `in 2 days`; `absent` where there is none.
pub fn ago(value: &Value, field: &str, now: Timestamp, absent: &str) -> String {
    match text(value, field).parse::<Timestamp>() {
        Ok(at) => distance(at, now),
        Err(_) => absent.to_owned(),
    }
}

fn distance(at: Timestamp, now: Timestamp) -> String {
    let ms = now.as_millis() - at.as_millis();
    let seconds = ms.unsigned_abs() / 1_000;
    let (count, unit) = match seconds {
        0..=1 => return "just now".to_owned(),
        2..=119 => (seconds, "seconds"),
        120..=7_199 => (seconds / 60, "minutes"),
        7_200..=172_799 => (seconds / 3_600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    if ms < 0 { format!("in {count} {unit}") } else { format!("{count} {unit} ago") }
}

/// A field's time to the second, in UTC.
pub fn time(value: &Value, field: &str) -> String {
    match text(value, field).parse::<Timestamp>() {
        Ok(at) => at.to_jiff().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => String::new(),
    }
}

/// A permission: `all`, or the names, at most `most` of them.
pub fn models(value: &Value, most: usize) -> String {
    match value.get("models") {
        Some(Value::String(word)) => word.clone(),
        Some(Value::Array(names)) => listed(names.iter().filter_map(Value::as_str), most),
        _ => String::new(),
    }
}

/// Names, at most `most` of them.
pub fn listed<'a>(names: impl Iterator<Item = &'a str>, most: usize) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.get(..most.min(names.len())).unwrap_or_default().join(", ");
    match names.len().saturating_sub(most) {
        0 if names.is_empty() => "none".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `yes` or `no`.
pub fn yes_no(value: &Value, field: &str) -> &'static str {
    if value.get(field).and_then(Value::as_bool).unwrap_or(false) { "yes" } else { "no" }
}

/// An instant as people type it: RFC 3339, a date (its beginning, UTC), or a time from now such as `30d`.
pub fn parse_when(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    if let Ok(at) = format!("{text}T00:00:00Z").parse() {
        return Ok(at);
    }
    parse_span(text).map(|span| now.plus(span)).ok_or_else(|| {
        format!("{text:?} is no time: 2030-01-31T12:00:00Z, 2030-01-31, or a time from now such as 12h or 30d")
    })
}

/// `90s`, `15m`, `12h`, `30d`, `4w`.
pub fn parse_span(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_have_their_thousands_set_apart() {
        for (digits, shown) in [("0", "0"), ("999", "999"), ("1000", "1,000"), ("1234567.25", "1,234,567.25")] {
            assert_eq!(grouped(digits), shown);
        }
    }

    #[test]
    fn times_are_told_from_now() {
        let now = "2030-01-31T12:00:00Z".parse().unwrap();
        for (at, shown) in [
            ("2030-01-31T12:00:00Z", "just now"),
            ("2030-01-31T11:59:00Z", "60 seconds ago"),
            ("2030-01-31T11:00:00Z", "60 minutes ago"),
            ("2030-01-30T12:00:00Z", "24 hours ago"),
            ("2029-01-31T12:00:00Z", "365 days ago"),
            ("2030-02-03T12:00:00Z", "in 3 days"),
        ] {
            assert_eq!(ago(&json!({ "at": at }), "at", now, ""), shown);
        }
        assert_eq!(ago(&json!({ "at": null }), "at", now, "never"), "never");
    }

    #[test]
    fn an_end_is_typed_as_a_time_a_date_or_a_span() {
        let now: Timestamp = "2030-01-31T12:00:00Z".parse().unwrap();
        for (typed, at) in [
            ("2030-02-01T00:00:00Z", "2030-02-01T00:00:00Z"),
            ("2030-02-01", "2030-02-01T00:00:00Z"),
            ("12h", "2030-02-01T00:00:00Z"),
        ] {
            assert_eq!(parse_when(typed, now).unwrap().to_string(), at);
        }
        for wrong in ["", "h", "5", "5x", "tomorrow", "99999999999999999999d"] {
            assert!(parse_when(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn long_permissions_are_cut() {
        assert_eq!(models(&json!({ "models": "all" }), 2), "all");
        assert_eq!(models(&json!({ "models": ["a", "b", "c"] }), 2), "a, b and 1 more");
        assert_eq!(models(&json!({ "models": [] }), 2), "none");
    }
}
