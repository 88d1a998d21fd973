//! Every word of the console, in English and Vietnamese, side by side.
//!
//! [`texts!`] makes a struct of each table: a text that one language lacks does not compile, one that no page uses is a
//! warning. `{}` stands for what [`fill`] puts there; both languages have as many.

use super::look::Lang;

/// `texts! { Name { field: "English", "Tiếng Việt"; … } }` makes `Name` with `Name::of(lang)`.
macro_rules! texts {
    ($(#[$about:meta])* $name:ident { $($field:ident: $en:literal, $vi:literal;)+ }) => {
        $(#[$about])*
        #[derive(Debug)]
        pub(crate) struct $name { $(pub(crate) $field: &'static str,)+ }
        impl $name {
            const EN: Self = Self { $($field: $en,)+ };
            const VI: Self = Self { $($field: $vi,)+ };
            /// In this language.
            pub(crate) const fn of(lang: $crate::pages::look::Lang) -> &'static Self {
                match lang {
                    $crate::pages::look::Lang::En => &Self::EN,
                    $crate::pages::look::Lang::Vi => &Self::VI,
                }
            }
            /// Each text: its name, English, Vietnamese.
            #[cfg(test)]
            pub(crate) const ALL: &'static [(&'static str, &'static str, &'static str)] =
                &[$((stringify!($field), $en, $vi),)+];
        }
    };
}

mod activity;
mod common;
mod docs;
mod errors;
mod keys;
mod mail;
mod me;
mod members;
mod models;
mod operator;
mod sign_in;
mod usage;
mod webhooks;

pub(crate) use activity::Audit;
pub(crate) use common::Common;
pub(crate) use docs::Docs;
pub(crate) use errors::Errors;
pub(crate) use keys::Keys;
pub(crate) use mail::{Mail, problem_in_words, source_in_words};
pub(crate) use me::Me;
pub(crate) use members::Members;
pub(crate) use models::Models;
pub(crate) use operator::{OpAccounts, OpCommon, OpModels, OpNodes, OpPlans, OpUpstreams, OpUsers};
pub(crate) use sign_in::SignIn;
pub(crate) use usage::Usage;
pub(crate) use webhooks::Webhooks;

/// A text with its `{}` filled in, in order.
pub(crate) fn fill(text: &str, values: &[&dyn std::fmt::Display]) -> String {
    let mut filled = String::with_capacity(text.len() + 16);
    let mut values = values.iter();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{}") {
        filled.push_str(before);
        if let Some(value) = values.next() {
            filled.push_str(&value.to_string());
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// One text where the number is one, another where it is not; Vietnamese has the same for both.
pub(crate) fn plural(lang: Lang, number: u64, one: &str, many: &str) -> String {
    fill(if number == 1 { one } else { many }, &[&lang.count(number)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_missing_in_either_language() {
        for (table, texts) in [
            ("Common", Common::ALL),
            ("Docs", Docs::ALL),
            ("Errors", Errors::ALL),
            ("Keys", Keys::ALL),
            ("Mail", Mail::ALL),
            ("Problems", mail::Problems::ALL),
            ("Me", Me::ALL),
            ("Members", Members::ALL),
            ("Models", Models::ALL),
            ("OpAccounts", OpAccounts::ALL),
            ("OpCommon", OpCommon::ALL),
            ("OpPlans", OpPlans::ALL),
            ("OpNodes", OpNodes::ALL),
            ("OpUsers", OpUsers::ALL),
            ("OpModels", OpModels::ALL),
            ("OpUpstreams", OpUpstreams::ALL),
            ("Audit", Audit::ALL),
            ("SignIn", SignIn::ALL),
            ("Usage", Usage::ALL),
            ("Webhooks", Webhooks::ALL),
        ] {
            for (name, en, vi) in texts {
                assert!(!en.trim().is_empty() && !vi.trim().is_empty(), "{table}.{name}");
                assert_eq!(en.matches("{}").count(), vi.matches("{}").count(), "{table}.{name}");
                for text in [en, vi] {
                    assert!(!text.contains('<') && *text == text.trim(), "{table}.{name}: {text:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_filled_in_is_not_read_as_a_text() {
        assert_eq!(fill("{} of {}", &[&"{}", &2]), "{} of 2");
        assert_eq!(fill("plain", &[&1]), "plain");
        assert_eq!(plural(Lang::En, 1, "{} stream", "{} streams"), "1 stream");
        assert_eq!(plural(Lang::En, 1_200, "{} stream", "{} streams"), "1,200 streams");
    }
}
