//! Operator sentences, French and English side by side.
//!
//! Everything an admin reads on a terminal goes through [`text!`](crate::text!), which does not compile with one
//! language missing. Log fields, codes, metric names and TOML keys are English only and do not pass here.

use std::borrow::Cow;

/// The languages an operator may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    En,
    Fr,
}

impl Lang {
    /// The language of a locale name such as `fr_FR.UTF-8`; English when it is not French.
    #[must_use]
    pub fn from_locale(locale: &str) -> Self {
        let language = locale.split(['_', '-', '.']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("fr") { Self::Fr } else { Self::En }
    }

    /// The language of the operator's environment.
    #[must_use]
    pub fn of_environment() -> Self {
        sys_locale::get_locale().map_or(Self::En, |locale| Self::from_locale(&locale))
    }
}

/// One sentence in both languages.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Text {
    pub en: Cow<'static, str>,
    pub fr: Cow<'static, str>,
}

impl Text {
    #[must_use]
    pub fn in_lang(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Fr => &self.fr,
        }
    }
}

/// One sentence in both languages that is known when the gate is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticText {
    pub en: &'static str,
    pub fr: &'static str,
}

impl StaticText {
    #[must_use]
    pub const fn in_lang(self, lang: Lang) -> &'static str {
        match lang {
            Lang::En => self.en,
            Lang::Fr => self.fr,
        }
    }
}

impl From<StaticText> for Text {
    fn from(StaticText { en, fr }: StaticText) -> Self {
        Self { en: en.into(), fr: fr.into() }
    }
}

/// Makes a [`Text`](crate::text::Text): `text! { en: "listening on {address}", fr: "à l'écoute sur {address}" }`. Names
/// in braces are taken from the scope, as in `format!`.
#[macro_export]
macro_rules! text {
    (en: $en:literal, fr: $fr:literal $(,)?) => {
        $crate::text::Text {
            en: ::std::borrow::Cow::Owned(::std::format!($en)),
            fr: ::std::borrow::Cow::Owned(::std::format!($fr)),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_take_names_from_the_scope() {
        let port = 8082;
        let sentence = text! { en: "port {port}", fr: "port n° {port}" };
        assert_eq!(sentence.in_lang(Lang::En), "port 8082");
        assert_eq!(sentence.in_lang(Lang::Fr), "port n° 8082");
    }

    #[test]
    fn locales() {
        for (locale, lang) in [
            ("fr_FR.UTF-8", Lang::Fr),
            ("fr", Lang::Fr),
            ("fr-CA", Lang::Fr),
            ("C.UTF-8", Lang::En),
            ("fro", Lang::En),
            ("", Lang::En),
        ] {
            assert_eq!(Lang::from_locale(locale), lang, "{locale}");
        }
    }
}
