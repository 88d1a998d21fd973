//! How a report's buckets are made of few rollup buckets: coarse ones are added, and what they hold too much is taken away.
//!
//! A report's buckets may lie anywhere (a day of a zone half an hour off, a year up to this minute). Each is covered by
//! the coarsest buckets that fit inside. Where far fewer rows are read that way, a bucket that reaches beyond an edge is
//! added whole and the finer ones beyond that edge are subtracted: "this year until now" is the year's row less what lies
//! in the future, which is as good as nothing. Each minute of a report's bucket counts once, each other minute not at all.

use super::grain::{Grain, MINUTE_MS};

/// What it costs to look for a run of rollup buckets, and to read one of them that is likely to hold something.
const SEEK: i64 = 1;
const READ: i64 = 8;
/// Subtracting has to be so many times cheaper: it breaks up runs that would serve many buckets of a report at once.
const WORTH: i64 = 2;
/// The cost of what must not be done.
const NEVER: i64 = 1 << 40;

/// Whether a cover may subtract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signs {
    /// It may: any rollup row that it adds may be larger than the result.
    PlusAndMinus,
    /// It may not.
    Plus,
}

/// Rollup buckets of one grain in `[from, to)`, to be added (`sign` 1) or subtracted (-1); they belong to report buckets
/// `index`, `index + 1`, … of `width` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) grain: Grain,
    pub(super) sign: i64,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) index: i64,
    pub(super) width: i64,
}

/// Covers report buckets, given by their edges (whole minutes). `edges` has one more entry than buckets. Little is
/// expected to have happened after `now`.
pub(super) fn pieces(edges: &[i64], now: i64, signs: Signs) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (index, pair) in (0i64..).zip(edges.windows(2)) {
        let [from, to] = *pair else { continue };
        for Run { grain, sign, from, to } in (Covering { now, signs }).range(from, to).0 {
            let piece = Piece { grain, sign, from, to, index, width: to - from };
            // A bucket that is one piece may continue a run of buckets of the same width.
            let run = pieces.iter_mut().rev().find(|last| last.grain == grain && last.sign == sign).filter(|last| {
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

/// Neighbouring rollup buckets.
#[derive(Clone, Copy)]
struct Run {
    grain: Grain,
    sign: i64,
    from: i64,
    to: i64,
}

/// Runs that together stand for one range.
#[derive(Clone, Default)]
struct Cover(Vec<Run>);

impl Cover {
    fn of(grain: Grain, from: i64, to: i64) -> Self {
        Self(if from < to { vec![Run { grain, sign: 1, from, to }] } else { Vec::new() })
    }
    /// This one and what follows it in time; runs of one grain that meet become one.
    fn and(mut self, more: &Self) -> Self {
        let mut more = more.0.iter();
        if let (Some(last), Some(next)) = (self.0.last_mut(), more.as_slice().first())
            && (last.grain, last.sign, last.to) == (next.grain, next.sign, next.from)
        {
            last.to = next.to;
            more.next();
        }
        self.0.extend(more);
        self
    }
    fn less(mut self, less: &Self) -> Self {
        self.0.extend(less.0.iter().map(|run| Run { sign: -run.sign, ..*run }));
        self
    }
}

/// Two covers of what a bucket holds before and after a point: `[start, point)` and `[point, end)`; both empty where the
/// bucket begins at the point.
#[derive(Clone, Default)]
struct Sides {
    before: Cover,
    after: Cover,
}

struct Covering {
    now: i64,
    signs: Signs,
}

impl Covering {
    fn range(&self, from: i64, to: i64) -> Cover {
        if let Some(grain) = Grain::ALL.into_iter().find(|grain| grain.floor(from) == from && grain.end(from) == to) {
            return Cover::of(grain, from, to);
        }
        let (starts, ends) = (self.sides(from), self.sides(to));
        let mut best = Cover::default();
        for (grain, (start, end)) in Grain::ALL.into_iter().zip(starts.iter().zip(&ends)) {
            let (first, last) = (grain.ceil(from), grain.floor(to));
            if first <= last {
                best = start.after.clone().and(&Cover::of(grain, first, last)).and(&end.before);
            } else {
                // Inside one bucket of this grain.
                let whole = Cover::of(grain, grain.floor(from), grain.ceil(to));
                best = self.better(best, whole.less(&start.before).less(&end.after));
            }
        }
        best
    }

    /// The sides of a point in its bucket of each grain, from fine to coarse.
    fn sides(&self, point: i64) -> [Sides; Grain::ALL.len()] {
        let mut finer = Sides::default();
        let mut inner = Grain::Minute;
        Grain::ALL.map(|grain| {
            let (start, end) = (grain.floor(point), grain.ceil(point));
            let before = Cover::of(inner, start, inner.floor(point)).and(&finer.before);
            let after = finer.after.clone().and(&Cover::of(inner, inner.ceil(point), end));
            inner = grain;
            let whole = Cover::of(grain, start, end);
            finer = Sides {
                before: self.better(before.clone(), whole.clone().less(&after)),
                after: self.better(after, whole.less(&before)),
            };
            finer.clone()
        })
    }

    fn better(&self, plain: Cover, other: Cover) -> Cover {
        if self.signs == Signs::PlusAndMinus && self.cost(&other) * WORTH <= self.cost(&plain) { other } else { plain }
    }

    fn cost(&self, cover: &Cover) -> i64 {
        let run = |run: &Run| {
            let past = run.to.min(self.now + MINUTE_MS);
            // Minutes of the past may have been deleted: then there would be nothing to subtract.
            if run.sign < 0 && run.grain == Grain::Minute && run.from < self.now {
                return NEVER;
            }
            SEEK + if run.from < past { READ * run.grain.count(run.from, past) } else { 0 }
        };
        cover.0.iter().map(run).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::usage::grain::{DAY_MS, HOUR_MS};

    fn ms(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn days_of_utc_are_one_piece_and_days_of_a_zone_are_hours() {
        let day = |n: i64| ms("2026-03-01T00:00:00Z") + n * DAY_MS;
        let cover = |edges: &[i64]| pieces(edges, day(300), Signs::Plus);
        let days = Piece { grain: Grain::Day, sign: 1, from: day(0), to: day(2), index: 0, width: DAY_MS };
        assert_eq!(cover(&[day(0), day(1), day(2)]), [days]);
        let hanoi: Vec<i64> = (0..3).map(|n| day(n) - 7 * HOUR_MS).collect();
        let hours = Piece {
            grain: Grain::Hour,
            sign: 1,
            from: day(0) - 7 * HOUR_MS,
            to: day(2) - 7 * HOUR_MS,
            index: 0,
            width: DAY_MS,
        };
        assert_eq!(cover(&hanoi), [hours]);
        // With subtraction: seven hours, the day of UTC, and seven hours less.
        assert_eq!(read(&pieces(&hanoi, day(300), Signs::PlusAndMinus), day(300)), 2 * (7 + 1 + 7));
        assert_eq!(cover(&[ms("2026-01-01T00:00:00Z"), ms("2027-01-01T00:00:00Z")]).len(), 1);
    }

    /// The rollup buckets of the past that a cover reads.
    fn read(pieces: &[Piece], now: i64) -> usize {
        let starts = |piece: &Piece| {
            let (grain, to) = (piece.grain, piece.to);
            std::iter::successors(Some(piece.from), move |at| Some(grain.end(*at))).take_while(move |at| *at < to)
        };
        pieces.iter().flat_map(starts).filter(|at| *at < now).count()
    }

    #[test]
    fn until_now_is_the_whole_year_less_the_future_and_a_month_of_a_zone_is_a_month_less_hours() {
        let now = ms("2026-11-23T20:51:00Z");
        let year = [ms("2026-01-01T00:00:00Z"), now];
        assert_eq!(read(&pieces(&year, now, Signs::PlusAndMinus), now), 1);
        assert_eq!(read(&pieces(&year, now, Signs::Plus), now), 3 + 1 + 22 + 20 + 51);
        // Not so where it has happened: an hour's minutes may be gone.
        let half_hour = [ms("2026-10-01T00:00:00Z"), ms("2026-10-01T00:45:00Z")];
        assert_eq!(read(&pieces(&half_hour, now, Signs::PlusAndMinus), now), 45);
        let hanoi = [ms("2026-09-30T17:00:00Z"), ms("2026-10-31T17:00:00Z")];
        assert_eq!(read(&pieces(&hanoi, now, Signs::PlusAndMinus), now), 7 + 1 + 7);
        assert_eq!(read(&pieces(&hanoi, now, Signs::Plus), now), 7 + 30 + 17);
    }

    proptest! {
        #[test]
        fn each_minute_of_a_bucket_counts_once_and_every_other_one_not_at_all(
            start in 29_000_000i64..30_000_000, widths in proptest::collection::vec(1i64..200_000, 1..12),
            now in 28_900_000i64..31_000_000, aligned in 0i64..4, plus in any::<bool>(),
        ) {
            // Some edges on full hours, days or ten days: runs of equal buckets.
            let unit = [1, 60, 1_440, 14_400][usize::try_from(aligned).unwrap()];
            let mut edges = vec![start / unit * unit * MINUTE_MS];
            for width in widths {
                edges.push(edges.last().unwrap() + (width / unit + 1) * unit * MINUTE_MS);
            }
            let (now, signs) = (now * MINUTE_MS, if plus { Signs::Plus } else { Signs::PlusAndMinus });
            // By report bucket, the changes of how often an instant counts.
            let mut steps: Vec<std::collections::BTreeMap<i64, i64>> = vec![Default::default(); edges.len()];
            for piece in pieces(&edges, now, signs) {
                prop_assert!(piece.sign == 1 || (piece.sign == -1 && !plus));
                prop_assert!(piece.sign == 1 || piece.grain != Grain::Minute || piece.from >= now);
                let mut at = piece.from;
                prop_assert!(at < piece.to);
                while at < piece.to {
                    prop_assert_eq!(piece.grain.floor(at), at);
                    let index = usize::try_from(piece.index + (at - piece.from) / piece.width).unwrap();
                    *steps[index].entry(at).or_default() += piece.sign;
                    at = piece.grain.end(at);
                    *steps[index].entry(at).or_default() -= piece.sign;
                }
                prop_assert_eq!(at, piece.to);
            }
            for (pair, steps) in edges.windows(2).zip(steps) {
                let steps: Vec<(i64, i64)> = steps.into_iter().filter(|(_, step)| *step != 0).collect();
                prop_assert_eq!(steps, [(pair[0], 1), (pair[1], -1)]);
            }
        }
    }
}
