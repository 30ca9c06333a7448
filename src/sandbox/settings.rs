//! The settings of the 8sens REST screen, read from a TOML file.

use super::duration::parse_duration;
use super::fault::Faults;
use crate::text;
use crate::text::Text;
use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Most tokens kept. Past that, dead ones go first, then the one unused for longest.
pub(super) const MAX_TOKENS: usize = 10_000;

/// Longest idle timeout taken: an idle time beyond that is a typing mistake.
const MAX_IDLE_TIMEOUT: Duration = Duration::from_hours(31 * 24);

/// How long a locked account stays so, unless set.
const LOCK_TIME: Duration = Duration::from_mins(15);

/// What the screen `Fichier > Administration des bases > REST` of 8sens asks for, and the users of the base.
///
/// `config/sandbox.example.toml` is the reference: it gives the French label of each setting.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxSettings {
    /// TCP port, above 1024. [`serve`](super::Sandbox::serve) takes a bound listener and does not read it.
    pub port: u16,
    /// Address to listen on; loopback unless set.
    #[serde(default = "loopback")]
    pub bind: IpAddr,
    #[serde(deserialize_with = "secret")]
    pub api_key: SecretString,
    /// Id of the user that runs the server.
    pub user_id: u32,
    /// A token not used for that long is dead.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    pub nature_devis: u32,
    pub racine_devis: u32,
    pub transfo_devis_commande: u32,
    pub racine_commande: u32,
    pub racine_client: u32,
    pub client_divers: u32,
    pub racine_prospect: u32,
    pub numero_licence: Option<String>,
    #[serde(default, deserialize_with = "optional_secret")]
    pub code_acces: Option<SecretString>,
    /// Most live sessions at a time, at most 10,000; 0 is no limit.
    #[serde(default)]
    pub seats: usize,
    /// Most live sessions of one user at a time; 0 is no limit.
    #[serde(default)]
    pub seats_per_login: usize,
    /// True: a user that logs in again is given its live token once more. False: each login gives a new token.
    #[serde(default)]
    pub token_shared: bool,
    /// True: a login ends the session that its user has.
    #[serde(default)]
    pub one_session_per_login: bool,
    #[serde(default)]
    pub expired_answer: ExpiredAnswer,
    #[serde(default)]
    pub wrong_key_answer: WrongKeyAnswer,
    #[serde(default)]
    pub failed_login_answer: FailedLoginAnswer,
    /// So many wrong passwords in a row lock the account; 0 is never.
    #[serde(default)]
    pub lock_after: u32,
    /// How long a locked account stays so.
    #[serde(default = "lock_time", deserialize_with = "duration")]
    pub lock_time: Duration,
    /// [Faults](super::fault) of every login, whatever its request asks for.
    #[serde(default, deserialize_with = "faults")]
    pub login_fault: Faults,
    /// Whether a request may ask for a [fault](super::fault).
    #[serde(default)]
    pub faults: bool,
    #[serde(rename = "user")]
    pub users: Vec<User>,
}

/// The answer to an expired, unknown or missing token. The body is `{"error": "invalid_token"}` unless said otherwise.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum ExpiredAnswer {
    #[default]
    #[serde(rename = "401")]
    Unauthorized,
    #[serde(rename = "403")]
    Forbidden,
    /// Status 200, with the error in the body only.
    #[serde(rename = "200-error")]
    OkWithError,
    /// Microsoft's "Login Time-out".
    #[serde(rename = "440")]
    LoginTimeout,
    /// To a login page.
    #[serde(rename = "302")]
    Redirect,
    /// Status 200, with a page for people.
    #[serde(rename = "200-html")]
    OkWithPage,
}

/// The answer to a wrong login or password, and to a locked account. The body is `{"error": "invalid_login"}` or
/// `{"error": "account_locked"}` unless said otherwise.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum FailedLoginAnswer {
    #[default]
    #[serde(rename = "401")]
    Unauthorized,
    #[serde(rename = "403")]
    Forbidden,
    /// Status 200, with the error in the body only.
    #[serde(rename = "200-error")]
    OkWithError,
    /// Status 200, with the fields of a login and an empty token.
    #[serde(rename = "200-empty-token")]
    OkWithoutToken,
}

/// The answer to a wrong, missing or repeated API key. The body is `{"error": "invalid_api_key"}` in each case.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub enum WrongKeyAnswer {
    #[default]
    #[serde(rename = "401")]
    Unauthorized,
    /// Status 200, with the error in the body only.
    #[serde(rename = "200-error")]
    OkWithError,
}

/// What the licence opens.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    Test,
    Production,
}

/// One user of the base.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub id: u32,
    pub name: String,
    #[serde(deserialize_with = "secret")]
    pub password: SecretString,
    /// The right "Autoriser REST".
    pub rest_right: bool,
}

/// Why settings are refused. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", message.en)]
pub struct SettingsError {
    /// Line of the file, from 1, where it is known.
    pub line: Option<usize>,
    pub message: Text,
}

/// The first broken rule.
struct Problem {
    /// The top-level key it is about, and which of them where it is an array of tables.
    key: &'static str,
    nth: usize,
    message: Text,
}

impl SandboxSettings {
    /// Reads and checks the text of a settings file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text).map_err(|error| {
            let message = error.message();
            SettingsError {
                line: error.span().map(|span| line_at(text, span.start)),
                message: text! { en: "{message}", fr: "fichier TOML refusé : {message}" },
            }
        })?;
        match settings.problem() {
            Some(Problem { key, nth, message }) => Err(SettingsError { line: line_of(text, key, nth), message }),
            None => Ok(settings),
        }
    }

    /// The settings of `config/sandbox.example.toml`: the examples of the vendor's page.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the file is part of the program and a test reads it")]
    pub fn example() -> Self {
        Self::from_toml(include_str!("../../config/sandbox.example.toml")).expect("the example file is valid")
    }

    /// Production with both a licence number and an access code, a test base otherwise.
    #[must_use]
    pub fn base(&self) -> Base {
        let licence = self.numero_licence.as_ref().is_some_and(|number| !number.is_empty());
        if licence && self.code_acces.is_some() { Base::Production } else { Base::Test }
    }

    /// Checks what one value alone does not show.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.problem().map_or(Ok(()), |problem| Err(SettingsError { line: None, message: problem.message }))
    }

    fn problem(&self) -> Option<Problem> {
        if self.port <= 1024 {
            let message = text! { en: "the port must be above 1024", fr: "le port doit être supérieur à 1024" };
            return Some(Problem { key: "port", nth: 0, message });
        }
        if self.idle_timeout.is_zero() || self.idle_timeout > MAX_IDLE_TIMEOUT {
            let message = text! {
                en: "idle_timeout must be more than zero and at most 31 days",
                fr: "idle_timeout doit être supérieur à zéro et d'au plus 31 jours",
            };
            return Some(Problem { key: "idle_timeout", nth: 0, message });
        }
        if self.seats > MAX_TOKENS {
            let message = text! {
                en: "seats must be at most {MAX_TOKENS}; 0 is no limit",
                fr: "seats doit être d'au plus {MAX_TOKENS} ; 0 pour aucune limite",
            };
            return Some(Problem { key: "seats", nth: 0, message });
        }
        if self.token_shared && self.one_session_per_login {
            let message = text! {
                en: "token_shared and one_session_per_login contradict each other: set one of them",
                fr: "token_shared et one_session_per_login se contredisent : n'en choisir qu'un",
            };
            return Some(Problem { key: "one_session_per_login", nth: 0, message });
        }
        let (mut ids, mut names) = (HashSet::new(), HashSet::new());
        if let Some(nth) = self.users.iter().position(|user| !ids.insert(user.id) || !names.insert(&user.name)) {
            let name = &self.users[nth].name;
            let message = text! {
                en: "{name} has the name or the id of a user above",
                fr: "{name} a le nom ou l'id d'un utilisateur précédent",
            };
            return Some(Problem { key: "user", nth, message });
        }
        self.runner_problem().map(|message| Problem { key: "user_id", nth: 0, message })
    }

    /// Why the user that runs the server cannot.
    fn runner_problem(&self) -> Option<Text> {
        let id = self.user_id;
        match self.users.iter().find(|user| user.id == id) {
            None => Some(text! {
                en: "no user has the id {id}: the REST server has nobody to run it",
                fr: "aucun utilisateur n'a l'id {id} : personne pour lancer le serveur REST",
            }),
            Some(User { name, rest_right: false, .. }) => Some(text! {
                en: "{name} runs the server and does not hold the right \"Autoriser REST\" (rest_right = true)",
                fr: "{name} lance le serveur sans l'autorisation « Autoriser REST » (rest_right = true)",
            }),
            Some(_) => None,
        }
    }
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

fn lock_time() -> Duration {
    LOCK_TIME
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    // serde's own "invalid type" would print the value.
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) if !text.is_empty() => Ok(text.into()),
        _ => Err(D::Error::custom("expected a string that is not empty")),
    }
}

fn optional_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    secret(deserializer).map(Some)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| D::Error::custom("expected a duration such as \"900s\""))
}

fn faults<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Faults, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|fault| D::Error::custom(format!("unknown fault {fault:?}")))
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn line_of(text: &str, key: &str, nth: usize) -> Option<usize> {
    let document = toml_edit::Document::parse(text).ok()?;
    let span = match document.get(key)? {
        toml_edit::Item::ArrayOfTables(tables) => tables.get(nth)?.span()?,
        item => item.span()?,
    };
    Some(line_at(text, span.start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Lang;
    use secrecy::ExposeSecret;

    const EXAMPLE: &str = include_str!("../../config/sandbox.example.toml");

    #[test]
    fn the_example_is_the_vendors() {
        let settings = SandboxSettings::example();
        assert_eq!(settings.port, 8082);
        assert_eq!(settings.bind, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(settings.api_key.expose_secret(), "ZghY887665YhGH");
        assert_eq!(settings.idle_timeout, Duration::from_secs(900));
        assert_eq!((settings.racine_client, settings.racine_prospect), (129, 127));
        assert!(!settings.faults && !settings.token_shared);
        assert_eq!((settings.seats, settings.base()), (0, Base::Test));
        assert_eq!(settings.expired_answer, ExpiredAnswer::Unauthorized);
        assert_eq!(settings.wrong_key_answer, WrongKeyAnswer::Unauthorized);
        assert_eq!(settings.failed_login_answer, FailedLoginAnswer::Unauthorized);
        assert_eq!((settings.seats_per_login, settings.lock_after, settings.lock_time), (0, 0, LOCK_TIME));
        assert_eq!(settings.login_fault, Faults::default());
        assert!(settings.users.iter().all(|user| user.rest_right));
    }

    /// The message; the error names the line of `from`.
    fn refused(from: &str, to: &str) -> String {
        assert!(EXAMPLE.contains(from), "{from}");
        let text = EXAMPLE.replacen(from, to, 1);
        let line = EXAMPLE.lines().position(|line| line.contains(from.lines().next().unwrap())).unwrap() + 1;
        let error = SandboxSettings::from_toml(&text).expect_err(to);
        assert_eq!(error.line, Some(line), "{to}");
        error.message.in_lang(Lang::En).to_owned()
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line() {
        for (from, to, expected) in [
            ("port = 8082", "port = 80", "above 1024"),
            ("port = 8082", "prot = 8082", "unknown field `prot`"),
            ("\"900s\"", "900", "expected a string"),
            ("\"900s\"", "\"soon\"", "expected a duration"),
            ("\"900s\"", "\"-5s\"", "expected a duration"),
            ("\"900s\"", "\"0s\"", "more than zero"),
            ("user_id = 6", "user_id = 9", "no user has the id 9"),
            ("\"ZghY887665YhGH\"", "887665", "expected a string"),
            ("# seats = 0 ", "seats = 10001 #", "at most 10000"),
            ("# seats = 0 ", "seats = -1 #", "invalid value"),
            (
                "# expired_answer = \"401\"",
                "expired_answer = \"402\"",
                "expected one of `401`, `403`, `200-error`, `440`, `302`, `200-html`",
            ),
            ("# login_fault = \"\"", "login_fault = \"status=500; explode\"", "unknown fault \"explode\""),
            (
                "# one_session_per_login = false",
                "one_session_per_login = true\ntoken_shared = true",
                "contradict each other",
            ),
            ("# wrong_key_answer = \"401\"", "wrong_key_answer = \"403\"", "expected `401` or `200-error`"),
            ("port = 8082", "port = ", ""),
        ] {
            let message = refused(from, to);
            assert!(message.contains(expected), "{to}: {message}");
        }
    }

    #[test]
    fn every_setting_with_a_default_stands_in_the_example() {
        let mut text = EXAMPLE.to_owned();
        for (shown, set) in [
            ("# numero_licence = \"…\"", "numero_licence = \"L-1\""),
            ("# code_acces = \"…\"", "code_acces = \"A-1\""),
            ("# bind = \"127.0.0.1\"", "bind = \"::1\""),
            ("# faults = false", "faults = true"),
            ("# seats = 0", "seats = 2"),
            ("# token_shared = false", "token_shared = true"),
            ("# expired_answer = \"401\"", "expired_answer = \"440\""),
            ("# wrong_key_answer = \"401\"", "wrong_key_answer = \"200-error\""),
            ("# seats_per_login = 0", "seats_per_login = 1"),
            ("# failed_login_answer = \"401\"", "failed_login_answer = \"200-empty-token\""),
            ("# lock_after = 0", "lock_after = 3"),
            ("# lock_time = \"15m\"", "lock_time = \"1h\""),
            ("# login_fault = \"\"", "login_fault = \"delay=2s\""),
        ] {
            assert!(text.contains(shown), "{shown}");
            text = text.replacen(shown, set, 1);
        }
        let settings = SandboxSettings::from_toml(&text).unwrap();
        assert!(settings.faults && settings.token_shared && settings.bind.is_ipv6());
        assert_eq!((settings.seats, settings.base()), (2, Base::Production));
        assert_eq!(settings.expired_answer, ExpiredAnswer::LoginTimeout);
        assert_eq!(settings.wrong_key_answer, WrongKeyAnswer::OkWithError);
        assert_eq!(settings.failed_login_answer, FailedLoginAnswer::OkWithoutToken);
        assert_eq!((settings.seats_per_login, settings.lock_after), (1, 3));
        assert_eq!(settings.lock_time, Duration::from_hours(1));
        assert_ne!(settings.login_fault, Faults::default());
        let text = text.replacen("token_shared = true", "", 1);
        let text = text.replacen("# one_session_per_login = false", "one_session_per_login = true", 1);
        assert!(SandboxSettings::from_toml(&text).unwrap().one_session_per_login);
    }

    #[test]
    fn a_production_base_takes_both_licence_and_code() {
        let base = |licence: Option<&str>, code: Option<&str>| {
            let mut settings = SandboxSettings::example();
            (settings.numero_licence, settings.code_acces) = (licence.map(str::to_owned), code.map(SecretString::from));
            settings.base()
        };
        assert_eq!(base(Some("L-1"), Some("A-1")), Base::Production);
        for (licence, code) in [(None, None), (Some("L-1"), None), (None, Some("A-1")), (Some(""), Some("A-1"))] {
            assert_eq!(base(licence, code), Base::Test, "{licence:?} {code:?}");
        }
    }

    #[test]
    fn nobody_runs_the_server_without_the_right() {
        let mut settings = SandboxSettings::example();
        settings.users[0].rest_right = false;
        let error = settings.check().unwrap_err();
        assert!(error.message.in_lang(Lang::Fr).contains("RUNREST"), "{error:?}");
        settings.users.remove(0);
        assert!(settings.check().unwrap_err().message.in_lang(Lang::En).contains("no user"));
    }

    #[test]
    fn users_are_told_apart() {
        let error = SandboxSettings::from_toml(&EXAMPLE.replace("id = 7", "id = 6")).unwrap_err();
        let table = EXAMPLE.lines().enumerate().filter(|(_, line)| line.starts_with("[[user]]")).nth(1).unwrap();
        assert_eq!(error.line, Some(table.0 + 1));
        assert!(error.message.in_lang(Lang::En).contains("CLIENTREST"), "{error:?}");
    }

    #[test]
    fn secrets_are_in_no_error_and_no_debug() {
        for shown in [
            refused("\"ZghY887665YhGH\"", "887665"),
            format!("{:?}", SandboxSettings::example()),
            format!("{:?}", SandboxSettings::from_toml("api_key = \"ZghY887665YhGH")),
        ] {
            assert!(!shown.contains("887665") && !shown.contains("\"clientrest\""), "{shown}");
        }
    }
}
