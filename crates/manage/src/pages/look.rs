//! How a page is to look to whoever asks: language and theme, from cookies, else from what the browser says.

use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};
use tollgate_core::money::{Currency, Price};

/// How long a choice is remembered, in seconds: a year.
const REMEMBERED: u32 = 365 * 86_400;
/// The longest `Accept-Language` that is read, in bytes.
const LONGEST_ACCEPT_LANGUAGE: usize = 512;
const LANG_COOKIE: &str = "tollgate_lang";
const THEME_COOKIE: &str = "tollgate_theme";

/// A language of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Lang {
    /// English.
    #[default]
    En,
    /// Vietnamese.
    Vi,
}

impl Lang {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::En, Self::Vi];
    /// Its BCP 47 tag.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Vi => "vi",
        }
    }
    /// Its own name for itself.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Vi => "Tiếng Việt",
        }
    }
    /// Of a BCP 47 tag, by its language alone.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|lang| primary.eq_ignore_ascii_case(lang.tag()))
    }
    /// The first acceptable one, by weight and then by order (RFC 9110, 12.5.4).
    fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(Self, u32)> = None;
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let Some(lang) = parts.next().and_then(Self::from_tag) else { continue };
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
            // Thousandths: a weight has at most three digits behind the point.
            let weight = (weight.unwrap_or(0.0).clamp(0.0, 1.0) * 1_000.0).round() as u32;
            if weight > best.map_or(0, |(_, weight)| weight) {
                best = Some((lang, weight));
            }
        }
        best.map(|(lang, _)| lang)
    }
    /// A price as people of this language write it, with every place that it has: `1,234.50 USD` or `1.234,50 USD`.
    pub(crate) fn money(self, price: Price, currency: Currency) -> String {
        let text = price.to_string();
        let (whole, places) = text.split_once('.').unwrap_or((&text, "00"));
        let point = match self {
            Self::En => '.',
            Self::Vi => ',',
        };
        format!("{}{point}{places} {currency}", self.count(whole.parse().unwrap_or_default()))
    }
    /// A whole number with its digits grouped: `1,234` or `1.234`.
    pub(crate) fn count(self, number: u64) -> String {
        let separator = match self {
            Self::En => ',',
            Self::Vi => '.',
        };
        let digits = number.to_string();
        let mut grouped = String::with_capacity(digits.len() * 4 / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(separator);
            }
            grouped.push(digit);
        }
        grouped
    }
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Theme {
    /// As the device is set.
    #[default]
    Auto,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Theme {
    /// Its name in forms and in `data-theme`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
    fn from_str(text: &str) -> Option<Self> {
        [Self::Auto, Self::Light, Self::Dark].into_iter().find(|theme| theme.as_str() == text)
    }
}

/// Language and theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Look {
    /// The language.
    pub(crate) lang: Lang,
    /// The theme.
    pub(crate) theme: Theme,
}

impl Look {
    /// What the browser asks for.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let lang = cookie(headers, LANG_COOKIE).and_then(|tag| Lang::from_tag(&tag)).or_else(|| {
            let accepted = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
            Lang::accepted(accepted.get(..LONGEST_ACCEPT_LANGUAGE).unwrap_or(accepted))
        });
        let theme = cookie(headers, THEME_COOKIE).and_then(|text| Theme::from_str(&text));
        Self { lang: lang.unwrap_or_default(), theme: theme.unwrap_or_default() }
    }
    /// `set-cookie` for what was chosen; nothing for what is not known.
    pub(crate) fn remember(lang: Option<&str>, theme: Option<&str>) -> Vec<String> {
        let lang = lang.and_then(Lang::from_tag).map(|lang| (LANG_COOKIE, lang.tag()));
        let theme = theme.and_then(Theme::from_str).map(|theme| (THEME_COOKIE, theme.as_str()));
        let set = |(name, value)| format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={REMEMBERED}");
        lang.into_iter().chain(theme).map(set).collect()
    }
}

impl<S: Sync> FromRequestParts<S> for Look {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

/// A cookie's value.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(headers: &[(&'static str, &'static str)]) -> Look {
        let pairs = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
        Look::of(&pairs.collect())
    }

    #[test]
    fn the_choice_goes_before_the_browser_and_the_browser_before_english() {
        assert_eq!(look(&[]), Look::default());
        assert_eq!(look(&[("accept-language", "fr, vi-VN;q=0.8, en;q=0.5")]).lang, Lang::Vi);
        assert_eq!(look(&[("accept-language", "vi;q=0.2, en;q=0.5")]).lang, Lang::En);
        assert_eq!(look(&[("accept-language", "vi;q=0, en;q=nonsense, \"")]).lang, Lang::En);
        let chosen = look(&[("accept-language", "vi"), ("cookie", "a=b; tollgate_lang=en; tollgate_theme=dark")]);
        assert_eq!(chosen, Look { lang: Lang::En, theme: Theme::Dark });
        assert_eq!(look(&[("cookie", "tollgate_lang=xx; tollgate_theme=<script>")]), Look::default());
        assert_eq!(Look::remember(Some("vi"), Some("pink")).len(), 1);
    }

    #[test]
    fn digits_are_grouped_by_three() {
        let counts = [0, 999, 1_000, 123_456, 1_234_567].map(|number| Lang::En.count(number));
        assert_eq!(counts, ["0", "999", "1,000", "123,456", "1,234,567"]);
        assert_eq!(Lang::Vi.count(1_234_567), "1.234.567");
        let money = |lang: Lang, text: &str| lang.money(text.parse().unwrap(), Currency::default());
        assert_eq!([money(Lang::En, "1234.5"), money(Lang::Vi, "1234.5")], ["1,234.50 USD", "1.234,50 USD"]);
        assert_eq!([money(Lang::En, "0.000125"), money(Lang::Vi, "0")], ["0.000125 USD", "0,00 USD"]);
    }
}
