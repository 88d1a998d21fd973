//! The widths of rollups: minutes to years of UTC. Each bucket of a grain is made of whole buckets of the next finer one.

/// A rollup's width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grain {
    Minute,
    Hour,
    Day,
    Month,
    Quarter,
    Year,
}

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

impl Grain {
    pub(super) const ALL: [Self; 6] = [Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Quarter, Self::Year];

    /// Its number in the store.
    pub(super) const fn code(self) -> i64 {
        match self {
            Self::Minute => 0,
            Self::Hour => 1,
            Self::Day => 2,
            Self::Month => 3,
            Self::Quarter => 4,
            Self::Year => 5,
        }
    }
    /// The beginning of the bucket that holds this instant, in Unix milliseconds.
    pub(super) fn floor(self, ms: i64) -> i64 {
        match self {
            Self::Minute => ms - ms.rem_euclid(MINUTE_MS),
            Self::Hour => ms - ms.rem_euclid(HOUR_MS),
            Self::Day => ms - ms.rem_euclid(DAY_MS),
            Self::Month => {
                let (year, month, _) = civil(ms.div_euclid(DAY_MS));
                days(year, month) * DAY_MS
            }
            Self::Quarter => {
                let (year, month, _) = civil(ms.div_euclid(DAY_MS));
                days(year, month - (month - 1) % 3) * DAY_MS
            }
            Self::Year => days(civil(ms.div_euclid(DAY_MS)).0, 1) * DAY_MS,
        }
    }
    /// The end of the bucket that begins there.
    pub(super) fn end(self, start: i64) -> i64 {
        match self {
            Self::Minute => start + MINUTE_MS,
            Self::Hour => start + HOUR_MS,
            Self::Day => start + DAY_MS,
            Self::Month => self.floor(start + 31 * DAY_MS),
            Self::Quarter => self.floor(start + 92 * DAY_MS),
            Self::Year => self.floor(start + 366 * DAY_MS),
        }
    }
    /// The first beginning of a bucket at or after this instant.
    pub(super) fn ceil(self, ms: i64) -> i64 {
        let start = self.floor(ms);
        if start == ms { ms } else { self.end(start) }
    }
    /// How many buckets lie between two of its edges; about, where they are not all of one width.
    pub(super) const fn count(self, from: i64, to: i64) -> i64 {
        let width = match self {
            Self::Minute => MINUTE_MS,
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
            Self::Month => 30 * DAY_MS,
            Self::Quarter => 91 * DAY_MS,
            Self::Year => 365 * DAY_MS,
        };
        (to - from + width - 1) / width
    }
}

/// Year, month and day of a number of days since 1970-01-01 (Howard Hinnant, `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a month's first day (Howard Hinnant, `days_from_civil`).
fn days(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_years_are_those_of_the_calendar() {
        let mut at = jiff::civil::date(1970, 1, 1);
        while at.year() < 2110 {
            let midnight = at.to_zoned_datetime(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond();
            let first =
                at.first_of_month().to_zoned_datetime(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond();
            let year =
                at.first_of_year().to_zoned_datetime(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond();
            assert_eq!(Grain::Month.floor(midnight + 5), first, "{at}");
            assert_eq!(Grain::Year.floor(midnight + 5), year, "{at}");
            let quarter = Grain::Quarter.floor(midnight + 5);
            assert_eq!(quarter, Grain::Month.floor(quarter));
            assert_eq!(Grain::Quarter.end(quarter), Grain::Quarter.floor(Grain::Quarter.end(quarter)));
            assert!(quarter <= first && first < Grain::Quarter.end(quarter), "{at}");
            assert_eq!((at.month() - 1) % 3 == 0, first == quarter, "{at}");
            at = at.tomorrow().unwrap();
        }
    }
}
