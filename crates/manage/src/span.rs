//! Lengths of time as people write them: `90s`, `1h`, `30d`. One parser for bodies and queries.

use std::time::Duration;

/// The text is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a length of time is a whole number and one of s, m, h, d or w, such as \"90s\", \"1h\" or \"30d\"")]
pub(crate) struct SpanError;

/// The longest span: ten years.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Reads `<number><unit>`, at most [`LONGEST`]. A bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, SpanError> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let seconds: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(SpanError),
    };
    // `u64::from_str` takes a leading plus.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SpanError);
    }
    let count: u64 = digits.parse().map_err(|_| SpanError)?;
    let span = Duration::from_secs(count.checked_mul(seconds).ok_or(SpanError)?);
    if span <= LONGEST { Ok(span) } else { Err(SpanError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, seconds) in
            [("0", 0), ("90", 90), ("90s", 90), ("5m", 300), ("1h", 3_600), ("30d", 2_592_000), ("2w", 1_209_600)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in
            ["", "s", "1.5h", "-1h", "+1h", "1 h", "1hh", "1y", "99999999999999999999s", "9999999999d", "3651d", "é"]
        {
            assert_eq!(parse(wrong), Err(SpanError), "{wrong}");
        }
    }
}
