//! Prices and costs as integers.
//!
//! A [`Price`] is in nano-units of a currency per million units of use, a [`Cost`] in nano-units. A
//! cost is rounded once, half up, per attempt; every sum is a sum of those integers, so that usage by
//! key, by model and in total add up to the same figure.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::usage::Units;

const NANO: u64 = 1_000_000_000;

/// Three upper-case letters (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A non-negative decimal amount with at most nine places, kept in nano-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(u64);

/// What something cost, in nano-units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cost(i64);

/// Costs by currency: those in different ones are never added to one another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Costs(Vec<(Currency, Cost)>);

/// The text is no amount or currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal such as `0.50`.
    #[error("an amount is a decimal text such as \"0.50\": no sign, at most 9 places, below 1000000000")]
    Amount,
    /// Not three capital letters.
    #[error("a currency is three capital letters such as USD")]
    Currency,
}

impl Default for Currency {
    fn default() -> Self {
        Self(*b"USD")
    }
}
impl Currency {
    /// What is no currency (ISO 4217): of a cost whose model is not known.
    pub const NONE: Self = Self(*b"XXX");

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let letters: [u8; 3] = text.as_bytes().try_into().map_err(|_| MoneyError::Currency)?;
        if letters.iter().all(u8::is_ascii_uppercase) { Ok(Self(letters)) } else { Err(MoneyError::Currency) }
    }
}
impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Price {
    /// From nano-units, as stored.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
    /// In nano-units.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }
}
impl FromStr for Price {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 9) || !digits(places, 9) {
            return Err(MoneyError::Amount);
        }
        let whole: u64 = whole.parse().map_err(|_| MoneyError::Amount)?;
        let places: u64 = format!("{places:0<9}").parse().map_err(|_| MoneyError::Amount)?;
        Ok(Self(whole * NANO + places))
    }
}
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, u128::from(self.0))
    }
}

impl Cost {
    /// From nano-units, as stored.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }
    /// In nano-units.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }
    /// The sum, at most `i64::MAX` nano-units (nine thousand million of the currency).
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}
impl Costs {
    /// A cost in one currency.
    #[must_use]
    pub fn of(currency: Currency, cost: Cost) -> Self {
        Self(vec![(currency, cost)])
    }
    /// Adds a cost to what is there in its currency.
    pub fn add(&mut self, currency: Currency, cost: Cost) {
        match self.0.binary_search_by_key(&currency, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, sum)) = self.0.get_mut(at) {
                    *sum = sum.plus(cost);
                }
            }
            Err(at) => self.0.insert(at, (currency, cost)),
        }
    }
    /// All of them, by the letters of their currencies; costs of nothing too.
    pub fn iter(&self) -> impl Iterator<Item = (Currency, Cost)> + '_ {
        self.0.iter().copied()
    }
    /// The cost and its currency, where it is in one. What costs nothing costs nothing in any currency, and says which
    /// only where there is no choice.
    #[must_use]
    pub fn only(&self) -> Option<(Cost, Option<Currency>)> {
        let mut charged = self.iter().filter(|(_, cost)| *cost != Cost::default());
        match (charged.next(), charged.next(), self.0.as_slice()) {
            (Some((currency, cost)), None, _) => Some((cost, Some(currency))),
            (None, _, [(currency, cost)]) => Some((*cost, Some(*currency))),
            (None, ..) => Some((Cost::default(), None)),
            _ => None,
        }
    }
}
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write_decimal(f, u128::from(self.0.unsigned_abs()))
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, nanos: u128) -> fmt::Result {
    let (whole, places) = (nanos / u128::from(NANO), nanos % u128::from(NANO));
    let places = format!("{places:09}");
    let places = places.trim_end_matches('0');
    write!(f, "{whole}.{places:0<2}")
}

macro_rules! serde_as_text {
    ($($ty:ty),+) => { $(
        impl Serialize for $ty {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+ };
}
serde_as_text!(Currency, Price, Cost);
macro_rules! deserialize_from_text {
    ($($ty:ty),+) => { $(
        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+ };
}
deserialize_from_text!(Currency, Price);

/// What a model's use costs, each per million units; what is absent costs nothing, except that cached
/// input without a price of its own costs as much as other input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// The currency of all of them.
    #[serde(default)]
    pub currency: Currency,
    /// Per million input tokens.
    #[serde(default)]
    pub input_per_million: Price,
    /// Per million output tokens.
    #[serde(default)]
    pub output_per_million: Price,
    /// Per million input tokens that the upstream took from its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_per_million: Option<Price>,
    /// Per million images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_per_million: Option<Price>,
    /// Per million seconds of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_second_per_million: Option<Price>,
}

impl PriceList {
    /// Whether use costs nothing.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let nothing = |price: Option<Price>| price.unwrap_or_default() == Price::default();
        [
            Some(self.input_per_million),
            Some(self.output_per_million),
            self.cached_input_per_million,
            self.image_per_million,
            self.audio_second_per_million,
        ]
        .into_iter()
        .all(nothing)
    }
    /// The cost of `units`, rounded half up to a nano-unit, at most what a [`Cost`] holds.
    #[must_use]
    pub fn cost(&self, units: &Units) -> Cost {
        let cached = units.cached_input.min(units.input);
        let cached_price = self.cached_input_per_million.unwrap_or(self.input_per_million);
        let line = |quantity: u64, price: Price| u128::from(quantity) * u128::from(price.0);
        // In nano-units times a million; audio is counted in milliseconds.
        let millionths = line(units.input - cached, self.input_per_million)
            + line(cached, cached_price)
            + line(units.output, self.output_per_million)
            + line(units.images, self.image_per_million.unwrap_or_default())
            + line(units.audio_ms, self.audio_second_per_million.unwrap_or_default()) / 1_000;
        Cost(i64::try_from((millionths + 500_000) / 1_000_000).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_back_exactly() {
        for (text, nanos, shown) in [
            ("0.50", 500_000_000, "0.50"),
            ("15", 15_000_000_000, "15.00"),
            ("0.000000001", 1, "0.000000001"),
            ("999999999.999999999", 999_999_999_999_999_999, "999999999.999999999"),
        ] {
            let price: Price = text.parse().unwrap();
            assert_eq!((price.nanos(), price.to_string().as_str()), (nanos, shown));
        }
        for wrong in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0.0000000001", "1000000000", " 1"] {
            assert_eq!(wrong.parse::<Price>(), Err(MoneyError::Amount), "{wrong}");
        }
        assert_eq!(Cost::from_nanos(-1_500_000_000).to_string(), "-1.50");
    }

    #[test]
    fn costs_in_different_currencies_are_never_one_amount() {
        let of = |letters: &str| letters.parse::<Currency>().unwrap();
        let (usd, eur, cost) = (of("USD"), of("EUR"), Cost::from_nanos);
        let mut costs = Costs::default();
        assert_eq!(costs.only(), Some((cost(0), None)));
        costs.add(usd, cost(0));
        assert_eq!(costs.only(), Some((cost(0), Some(usd))));
        costs.add(eur, cost(0));
        assert_eq!(costs.only(), Some((cost(0), None)), "nothing, of nothing in particular");
        costs.add(eur, cost(3));
        costs.add(eur, cost(4));
        assert_eq!(costs.only(), Some((cost(7), Some(eur))), "what is free adds no currency");
        costs.add(usd, cost(1));
        assert_eq!(costs.only(), None);
        assert_eq!(costs.iter().collect::<Vec<_>>(), [(eur, cost(7)), (usd, cost(1))]);
    }

    #[test]
    fn cost_is_exact_and_cached_input_is_a_part_of_input() {
        let prices = PriceList {
            input_per_million: "0.50".parse().unwrap(),
            output_per_million: "1.50".parse().unwrap(),
            ..PriceList::default()
        };
        let units = Units { input: 1_000_000, output: 2_000_000, cached_input: 400_000, ..Units::default() };
        assert_eq!(prices.cost(&units).to_string(), "3.50");
        let cheaper = PriceList { cached_input_per_million: Some("0.05".parse().unwrap()), ..prices };
        assert_eq!(cheaper.cost(&units).to_string(), "3.32");
        // An upstream that reports more cached than input cannot make a negative line.
        assert_eq!(prices.cost(&Units { input: 1, cached_input: 9, ..Units::default() }).nanos(), 500);
        assert_eq!(prices.cost(&Units { input: u64::MAX, output: u64::MAX, ..Units::default() }).nanos(), i64::MAX);
    }
}
