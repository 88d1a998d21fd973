//! Figures as a language writes them: seconds, shares, money.

use tollgate_core::money::{Cost, Currency};

use super::Show;
use crate::pages::look::Lang;

/// The smallest cost that is shown: a ten-thousandth of the currency, in nano-units.
const NANOS_SHOWN: u64 = 100_000;
const NANOS_OF_CENT: u64 = 10_000_000;

impl Show<'_> {
    const fn point(&self) -> char {
        match self.lang {
            Lang::En => '.',
            Lang::Vi => ',',
        }
    }
    /// Seconds with a tenth.
    pub(super) fn seconds(&self, ms: u64) -> String {
        let tenths = ms.saturating_add(50) / 100;
        format!("{}{}{}", self.lang.count(tenths / 10), self.point(), tenths % 10)
    }
    /// A share in whole percent; never 0 or 100 where it is not that.
    pub(super) fn percent(&self, part: u64, of: u64) -> String {
        let (part, of) = (u128::from(part), u128::from(of.max(1)));
        let percent = (part * 100 + of / 2) / of;
        if percent == 0 && part > 0 {
            return self.t.below_one.to_owned();
        }
        format!("{}%", if percent >= 100 && part < of { 99 } else { percent })
    }
    /// An amount of money: to the cent, below one to the ten-thousandth. The CSV has every place.
    pub(super) fn cost(&self, cost: Cost, currency: Option<Currency>) -> String {
        let nanos = cost.nanos().unsigned_abs();
        let finest = nanos.saturating_add(NANOS_SHOWN / 2) / NANOS_SHOWN;
        let amount = if nanos > 0 && nanos < NANOS_SHOWN {
            format!("< 0{}0001", self.point())
        } else if finest < 10_000 && !finest.is_multiple_of(100) {
            format!("0{}{finest:04}", self.point())
        } else {
            let cents = nanos.saturating_add(NANOS_OF_CENT / 2) / NANOS_OF_CENT;
            format!("{}{}{:02}", self.lang.count(cents / 100), self.point(), cents % 100)
        };
        let sign = if cost.nanos() < 0 { "−" } else { "" };
        currency.map_or_else(|| format!("{sign}{amount}"), |currency| format!("{sign}{amount} {currency}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::with_show, *};

    #[test]
    fn money_is_shown_to_the_cent_and_small_money_finer() {
        let shown =
            |lang, nanos| with_show(lang, "", |show| show.cost(Cost::from_nanos(nanos), Some(Currency::default())));
        for (nanos, text) in [
            (0, "0.00 USD"),
            (1, "< 0.0001 USD"),
            (99_999, "< 0.0001 USD"),
            (100_000, "0.0001 USD"),
            (1_500_000, "0.0015 USD"),
            (500_000_000, "0.50 USD"),
            (999_990_000, "1.00 USD"),
            (1_234_567_890_000, "1,234.57 USD"),
        ] {
            assert_eq!(shown(Lang::En, nanos), text, "{nanos}");
        }
        assert_eq!(shown(Lang::Vi, 1_234_567_890_000), "1.234,57 USD");
    }

    #[test]
    fn shares_are_never_rounded_to_all_or_nothing() {
        let percent = |part, of| with_show(Lang::En, "", |show| show.percent(part, of));
        assert_eq!(
            [(0, 5), (1, 1_000), (1, 50), (999, 1_000), (5, 5), (0, 0)].map(|(part, of)| percent(part, of)),
            ["0%", "below 1%", "2%", "99%", "100%", "0%"]
        );
    }
}
