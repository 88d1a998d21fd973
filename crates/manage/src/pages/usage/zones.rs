//! Time zones as the usage pages offer them, and the browser's own, which the script leaves in a cookie.

use http::HeaderMap;
use tollgate_core::Timestamp;

use crate::{pages::cookie, services::zone_by_name};

/// Where the script leaves the browser's zone, or the one that was chosen last.
const ZONE_COOKIE: &str = "tollgate_zone";
/// The longest name that is looked up, in bytes: the longest of the IANA's has 32.
const LONGEST_NAME: usize = 64;

/// The zones that are offered, from west to east. Any other that the browser names is offered beside them.
const COMMON: [&str; 38] = [
    "Pacific/Honolulu",
    "America/Anchorage",
    "America/Los_Angeles",
    "America/Denver",
    "America/Chicago",
    "America/Mexico_City",
    "America/New_York",
    "America/Bogota",
    "America/Halifax",
    "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires",
    "Atlantic/Azores",
    "UTC",
    "Europe/London",
    "Africa/Lagos",
    "Europe/Paris",
    "Europe/Berlin",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Europe/Kyiv",
    "Europe/Istanbul",
    "Africa/Nairobi",
    "Asia/Riyadh",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Ho_Chi_Minh",
    "Asia/Jakarta",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Pacific/Tongatapu",
];

/// Names that browsers still use for zones that were renamed.
const RENAMED: [(&str, &str); 5] = [
    ("Asia/Saigon", "Asia/Ho_Chi_Minh"),
    ("Asia/Calcutta", "Asia/Kolkata"),
    ("Asia/Katmandu", "Asia/Kathmandu"),
    ("Europe/Kiev", "Europe/Kyiv"),
    ("Etc/UTC", "UTC"),
];

/// A zone and its name.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    /// The IANA's name.
    pub(super) name: String,
    /// Its rules.
    pub(super) rules: jiff::tz::TimeZone,
}

impl Zone {
    /// The zone of this name, if there is one.
    pub(super) fn named(name: &str) -> Option<Self> {
        if name.len() > LONGEST_NAME {
            return None;
        }
        let name = RENAMED.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| *new);
        let rules = zone_by_name(name).ok()?;
        // The list's own spelling: look-ups do not mind capitals.
        let name = rules.iana_name().filter(|_| name != "UTC").unwrap_or("UTC").to_owned();
        Some(Self { name, rules })
    }
    /// UTC.
    pub(super) fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: jiff::tz::TimeZone::UTC }
    }
    /// The browser's zone, where the script said it; whether it did.
    pub(super) fn of_browser(headers: &HeaderMap) -> (Self, bool) {
        match cookie(headers, ZONE_COOKIE).as_deref().and_then(Self::named) {
            Some(zone) => (zone, true),
            None => (Self::utc(), false),
        }
    }
    /// This instant on the zone's clocks.
    pub(super) fn clock(&self, at: Timestamp) -> jiff::ZonedDateTime {
        at.to_jiff().to_zoned_datetime(self.rules.clone())
    }
}

/// What is offered: each zone's name and how it reads, with its distance from UTC now.
pub(super) fn choices(chosen: &Zone, now: Timestamp) -> Vec<(String, String)> {
    let mut names = COMMON.to_vec();
    if !names.contains(&chosen.name.as_str()) {
        names.push(&chosen.name);
    }
    let zones = names.into_iter().filter_map(Zone::named);
    let mut zones: Vec<(i32, String, String)> = zones
        .map(|zone| {
            let offset = zone.rules.to_offset(now.to_jiff()).seconds();
            let label = format!("{} ({})", zone.name.replace('_', " "), offset_text(offset));
            (offset, zone.name, label)
        })
        .collect();
    zones.sort();
    zones.into_iter().map(|(_, name, label)| (name, label)).collect()
}

/// `UTC+07:00`.
pub(super) fn offset_text(seconds: i32) -> String {
    let minutes = seconds.unsigned_abs() / 60;
    let sign = if seconds < 0 { '−' } else { '+' };
    format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_that_is_offered_exists_under_that_name() {
        for name in COMMON {
            assert_eq!(Zone::named(name).unwrap().name, name);
        }
        let now = "2026-11-20T00:00:00Z".parse().unwrap();
        let offered = choices(&Zone::named("Asia/Saigon").unwrap(), now);
        assert_eq!(offered.len(), COMMON.len());
        assert!(offered.contains(&("Asia/Ho_Chi_Minh".into(), "Asia/Ho Chi Minh (UTC+07:00)".into())), "{offered:?}");
        let other = choices(&Zone::named("America/St_Johns").unwrap(), now);
        assert!(other.contains(&("America/St_Johns".into(), "America/St Johns (UTC−03:30)".into())), "{other:?}");
    }

    #[test]
    fn a_zone_that_is_none_is_not_taken() {
        for wrong in ["", "Mars/Base", "../../etc/passwd", "<script>", &"x".repeat(10_000)] {
            assert!(Zone::named(wrong).is_none(), "{wrong}");
        }
        let of = |value: &'static str| {
            let headers = [(http::header::COOKIE, http::HeaderValue::from_static(value))].into_iter().collect();
            let (zone, said) = Zone::of_browser(&headers);
            (zone.name, said)
        };
        assert_eq!(of("tollgate_zone=Asia/Saigon"), ("Asia/Ho_Chi_Minh".into(), true));
        assert_eq!(of("tollgate_zone=nonsense"), ("UTC".into(), false));
        assert_eq!(of("a=b"), ("UTC".into(), false));
    }
}
