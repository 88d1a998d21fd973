//! What the next page says about what was just done. It travels in a cookie as a name and a few numbers, so that whoever
//! forges one makes their own page say nothing worse than a wrong number.

use http::HeaderMap;

use super::{
    look::{Lang, cookie},
    texts::Common,
};

const FLASH_COOKIE: &str = "tollgate_flash";
/// How long it waits for the next page, in seconds.
const WAITS: u32 = 30;

/// One thing that was done. Add a variant, its name in `NAMES` and its words in `text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flash {
    /// A form was saved.
    Saved,
}

impl Flash {
    /// The name and numbers of the cookie.
    fn parts(self) -> (&'static str, Vec<u64>) {
        match self {
            Self::Saved => ("saved", vec![]),
        }
    }
    fn from_parts(name: &str, numbers: &[u64]) -> Option<Self> {
        Some(match (name, numbers) {
            ("saved", []) => Self::Saved,
            _ => return None,
        })
    }
    /// Its words.
    pub(crate) fn text(self, lang: Lang) -> String {
        match self {
            Self::Saved => Common::of(lang).done_saved.to_owned(),
        }
    }

    /// `set-cookie` for the next page.
    pub(super) fn to_cookie(self) -> String {
        let (name, numbers) = self.parts();
        let numbers: String = numbers.iter().map(|number| format!(".{number}")).collect();
        format!("{FLASH_COOKIE}={name}{numbers}; Path=/; HttpOnly; SameSite=Lax; Max-Age={WAITS}")
    }
    /// `set-cookie` once it was said.
    pub(super) fn said() -> String {
        format!("{FLASH_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
    }
    /// What the page before left.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = cookie(headers, FLASH_COOKIE)?;
        let mut parts = value.split('.');
        let name = parts.next()?;
        let numbers: Vec<u64> = parts.map_while(|part| part.parse().ok()).collect();
        Self::from_parts(name, &numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_again_and_nonsense_is_nothing() {
        for flash in [Flash::Saved] {
            let set = flash.to_cookie();
            let headers =
                [(http::header::COOKIE, set.split(';').next().unwrap().parse().unwrap())].into_iter().collect();
            assert_eq!(Flash::of(&headers), Some(flash));
            assert!(!flash.text(Lang::Vi).is_empty());
        }
        for nonsense in ["x", "saved.1", "saved.x.99999999999999999999999", "", "."] {
            let value = format!("{FLASH_COOKIE}={nonsense}").parse().unwrap();
            let headers = [(http::header::COOKIE, value)].into_iter().collect();
            assert!(Flash::of(&headers).is_none_or(|flash| flash == Flash::Saved), "{nonsense}");
        }
    }
}
