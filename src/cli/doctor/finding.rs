//! What the doctor finds, as data.

use crate::text;
use crate::text::Text;
use strum::IntoStaticStr;

/// How bad a finding is, in the order of badness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub(super) enum Severity {
    Ok,
    /// Worth knowing; nothing has to be done.
    Info,
    /// It works, and will hurt.
    Warning,
    /// It does not work, or is not safe.
    Error,
}

impl Severity {
    pub(super) const fn word(self) -> &'static str {
        self.into_str()
    }
}

/// Declares every check once: variant, word, question in both languages.
macro_rules! checks {
    ($($variant:ident = $word:literal, $en:literal, $fr:literal;)+) => {
        /// What was looked at. A closed set; the word is stable, scripts may match on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Check { $($variant,)+ }

        impl Check {
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub(super) const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What is asked.
            pub(super) fn question(self) -> Text {
                match self { $(Self::$variant => text! { en: $en, fr: $fr },)+ }
            }
        }
    };
}

checks! {
    Configuration = "configuration", "the configuration and its secret files", "la configuration et ses fichiers \
        secrets";
    ConfigurationMode = "configuration_mode", "who may change the configuration", "qui peut modifier la configuration";
    Keys = "keys", "keys of consumers near their end", "clés des consommateurs proches de leur fin";
    LegacyKey = "legacy_key", "consumers that still use the key of 8sens", "consommateurs qui emploient encore la clé \
        de 8sens";
    Certificates = "certificates", "certificates near their end", "certificats proches de leur fin";
    Clock = "clock", "the clock of this machine", "l'horloge de cette machine";
    ClockJump = "clock_jump", "whether the clock was set while the gate ran", "si l'horloge a été réglée pendant que \
        la passerelle tournait";
    ClockOf8sens = "clock_of_8sens", "the clock of 8sens's machine", "l'horloge de la machine de 8sens";
    StateDirectory = "state_directory", "the state directory", "le répertoire d'état";
    StateSpace = "state_space", "free space for the state", "espace libre pour l'état";
    Gate = "gate", "whether a gate runs", "si une passerelle tourne";
    Reload = "reload", "whether the gate runs with this configuration", "si la passerelle tourne avec cette \
        configuration";
    Listeners = "listeners", "the listeners", "les points d'écoute";
    Losses = "losses", "lost log lines and session records", "lignes de journal et sessions perdues";
    SharedTokens = "shared_tokens", "tokens that belong to several consumers", "jetons partagés entre consommateurs";
    TokenPlaces = "token_places", "where tokens travel", "où voyagent les jetons";
    Mode = "mode", "observe or guard", "observe ou guard";
    Name = "name", "the name of 8sens's machine", "le nom de la machine de 8sens";
    Port = "port", "the port of 8sens", "le port de 8sens";
    Http = "http", "HTTP at 8sens", "HTTP chez 8sens";
    UpstreamKey = "upstream_key", "the key of 8sens", "la clé de 8sens";
    Exposure = "exposure", "who else can reach 8sens", "qui d'autre peut joindre 8sens";
    Login = "login", "a login at 8sens", "une connexion à 8sens";
    LoginFields = "login_fields", "the four fields of a login answer", "les quatre champs d'une réponse de connexion";
    IdleTimeout = "idle_timeout", "how long 8sens keeps an idle token", "combien de temps 8sens garde un jeton \
        inutilisé";
    ConcurrentSessions = "concurrent_sessions", "several sessions of one login", "plusieurs sessions d'une même \
        connexion";
    ExpiredWhen = "expired_when", "the answer to a token that is no good", "la réponse à un jeton qui n'est pas bon";
    FailedWhen = "failed_when", "the answer to a wrong password", "la réponse à un mot de passe faux";
    IdleClock = "idle_clock", "which calls keep a session alive", "quels appels gardent une session en vie";
    Front = "front", "the way from the internet to the gate", "le chemin d'internet à la passerelle";
    FrontKey = "front_key", "whether a proxy in front lets api_key through", "si un proxy placé devant laisse passer \
        api_key";
}

/// One finding.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub check: Check,
    pub severity: Severity,
    pub what: Text,
    /// Why it matters.
    pub why: Option<Text>,
    /// What fixes it, the best way first.
    pub remedies: Vec<Text>,
}

impl Finding {
    pub(super) fn ok(check: Check, what: Text) -> Self {
        Self { check, severity: Severity::Ok, what, why: None, remedies: vec![] }
    }

    pub(super) fn info(check: Check, what: Text) -> Self {
        Self { check, severity: Severity::Info, what, why: None, remedies: vec![] }
    }

    pub(super) fn warning(check: Check, what: Text, why: Text) -> Self {
        Self { check, severity: Severity::Warning, what, why: Some(why), remedies: vec![] }
    }

    pub(super) fn error(check: Check, what: Text, why: Text) -> Self {
        Self { check, severity: Severity::Error, what, why: Some(why), remedies: vec![] }
    }

    pub(super) fn fix(mut self, remedy: Text) -> Self {
        self.remedies.push(remedy);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pages for people list each check, and nothing that is none.
    #[test]
    fn the_documentation_lists_every_check() {
        for page in [include_str!("../../../docs/doctor.md"), include_str!("../../../docs/fr/doctor.md")] {
            let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            let listed: Vec<_> = rows.map(|(word, _)| word).collect();
            let known: Vec<_> = Check::ALL.iter().map(|check| check.word()).collect();
            assert_eq!(listed, known);
        }
    }
}
