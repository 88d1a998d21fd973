//! The widths of rollups, and how a range of time is cut into the fewest of them.
//!
//! A grain's buckets are those of UTC. A report's buckets may lie anywhere (a day of a zone half an hour off): each is cut
//! into the coarsest grains that fit inside, and neighbouring pieces of one grain become one [`Piece`] again.

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
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

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
    fn end(self, start: i64) -> i64 {
        match self {
            Self::Minute => start + MINUTE_MS,
            Self::Hour => start + HOUR_MS,
            Self::Day => start + DAY_MS,
            Self::Month => self.floor(start + 31 * DAY_MS),
            Self::Quarter => self.floor(start + 92 * DAY_MS),
            Self::Year => self.floor(start + 366 * DAY_MS),
        }
    }
}

/// Rollup buckets of one grain in `[from, to)`; they belong to report buckets `index`, `index + 1`, … of `width` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) grain: Grain,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) index: i64,
    pub(super) width: i64,
}

/// Cuts report buckets, given by their edges (whole minutes), into pieces. `edges` has one more entry than buckets.
pub(super) fn pieces(edges: &[i64]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (index, pair) in (0i64..).zip(edges.windows(2)) {
        let [from, to] = *pair else { continue };
        let mut whole: Vec<Piece> = Vec::new();
        cut(from, to, &mut |grain, from, to| match whole.last_mut() {
            Some(last) if last.grain == grain && last.to == from => last.to = to,
            _ => whole.push(Piece { grain, from, to, index, width: 0 }),
        });
        for mut piece in whole {
            piece.width = piece.to - piece.from;
            // A bucket that is one piece may continue a run of buckets of the same width.
            let run = pieces.iter_mut().rev().find(|last| last.grain == piece.grain).filter(|last| {
                last.to == piece.from
                    && last.width == piece.width
                    && last.index + (last.to - last.from) / last.width == piece.index
            });
            match run {
                Some(run) => run.to = piece.to,
                None => pieces.push(piece),
            }
        }
    }
    pieces
}

/// Walks `[from, to)` in the coarsest steps that are aligned and fit.
fn cut(from: i64, to: i64, take: &mut impl FnMut(Grain, i64, i64)) {
    let mut at = from;
    while at < to {
        let step = Grain::ALL.into_iter().rev().find(|grain| grain.floor(at) == at && grain.end(at) <= to);
        // Edges are whole minutes, so a minute always fits.
        let Some(grain) = step else { return };
        let end = grain.end(at);
        take(grain, at, end);
        at = end;
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
    use proptest::prelude::*;

    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

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

    #[test]
    fn days_of_utc_are_one_piece_and_days_of_a_zone_are_hours() {
        let day = |n: i64| ms("2026-03-01T00:00:00Z") + n * DAY_MS;
        let utc = pieces(&[day(0), day(1), day(2)]);
        assert_eq!(utc, [Piece { grain: Grain::Day, from: day(0), to: day(2), index: 0, width: DAY_MS }]);
        let hanoi: Vec<i64> = (0..3).map(|n| day(n) - 7 * HOUR_MS).collect();
        let hours =
            Piece { grain: Grain::Hour, from: day(0) - 7 * HOUR_MS, to: day(2) - 7 * HOUR_MS, index: 0, width: DAY_MS };
        assert_eq!(pieces(&hanoi), [hours]);
        assert_eq!(pieces(&[ms("2026-01-01T00:00:00Z"), ms("2027-01-01T00:00:00Z")]).len(), 1);
    }

    proptest! {
        #[test]
        fn pieces_cover_each_minute_of_each_bucket_once(
            start in 29_000_000i64..30_000_000, widths in proptest::collection::vec(1i64..200_000, 1..12)
        ) {
            let mut edges = vec![start * MINUTE_MS];
            for width in widths {
                edges.push(edges.last().unwrap() + width * MINUTE_MS);
            }
            let mut covered: Vec<(i64, i64, i64)> = Vec::new();
            for piece in pieces(&edges) {
                let mut at = piece.from;
                while at < piece.to {
                    prop_assert_eq!(piece.grain.floor(at), at);
                    let end = piece.grain.end(at);
                    covered.push((at, end, piece.index + (at - piece.from) / piece.width));
                    at = end;
                }
                prop_assert_eq!(at, piece.to);
            }
            covered.sort();
            prop_assert_eq!(covered.first().unwrap().0, edges[0]);
            prop_assert_eq!(covered.last().unwrap().1, *edges.last().unwrap());
            for pair in covered.windows(2) {
                prop_assert_eq!(pair[0].1, pair[1].0);
            }
            for (from, to, index) in covered {
                let index = usize::try_from(index).unwrap();
                prop_assert!(edges[index] <= from && to <= edges[index + 1]);
            }
        }
    }
}
