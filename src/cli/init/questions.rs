//! The questions, on a terminal.

use super::answers::{Answers, Listener, NewConsumer, PLACES, Token, Transport};
use super::file::DEFAULT_UPSTREAM;
use super::probe::probe;
use crate::config::entry;
use crate::text;
use crate::text::{Lang, Text};
use inquire::ui::{RenderConfig, Styled};
use inquire::validator::Validation;
use inquire::{Confirm, InquireError, Password, PasswordDisplayMode, Select};
use jiff::civil::Date;
use secrecy::SecretString;
use std::fmt;
use std::net::SocketAddr;

/// Asks in one language.
pub(super) struct Interview {
    pub lang: Lang,
    pub today: Date,
    render: RenderConfig<'static>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Ctrl-C or Escape.
    Left,
    Failed(Text),
}

/// Who connects to a listener, and by which protection.
#[derive(Clone, Copy)]
enum Callers {
    Loopback,
    Files,
    Acme,
    Lan,
    BehindProxy,
}

impl From<InquireError> for Unanswered {
    fn from(error: InquireError) -> Self {
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => Self::Left,
            error => {
                Self::Failed(text! { en: "the terminal failed: {error}", fr: "le terminal a fait défaut : {error}" })
            }
        }
    }
}

type Answered<T> = Result<T, Unanswered>;

/// One of a list of choices, as it is shown.
struct Choice<T>(T, String);

impl<T> fmt::Display for Choice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

/// What a second run may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MenuItem {
    Consumer,
    Upstream,
    UpstreamKey,
    Token,
    Listener,
    Done,
}

impl Interview {
    pub(super) fn new(lang: Lang, today: Date, colour: bool) -> Self {
        let render = if colour { RenderConfig::default_colored() } else { RenderConfig::empty() };
        // The prompts keep it for ever, so it cannot come out of a sentence.
        let gone: &'static str = match lang {
            Lang::En => "<left>",
            Lang::Fr => "<abandon>",
        };
        Self { lang, today, render: render.with_canceled_prompt_indicator(Styled::new(gone)) }
    }

    /// Everything a new file needs and `given` does not say. `has_key`: a file with the upstream key already exists.
    pub(super) fn new_file(&self, given: Answers, has_key: bool) -> Answered<Answers> {
        let mut answers = given;
        if answers.upstream.is_none() {
            answers.upstream = Some(self.upstream(DEFAULT_UPSTREAM)?);
        }
        if answers.upstream_key.is_none() && !(has_key && self.keeps_key()?) {
            answers.upstream_key = Some(self.upstream_key()?);
        }
        if answers.idle_timeout.is_none() {
            answers.idle_timeout = Some(self.idle_timeout()?);
        }
        if answers.token.is_none() {
            answers.token = Some(self.token()?);
        }
        if answers.listener.is_none() {
            answers.listener = Some(self.listener()?);
        }
        while answers.consumers.is_empty() || self.another()? {
            let consumer = self.consumer(&answers.consumers)?;
            answers.consumers.push(consumer);
        }
        Ok(answers)
    }

    /// What to change in a file that is there.
    pub(super) fn step(&self) -> Answered<MenuItem> {
        let choice = |step, text: Text| Choice(step, text.in_lang(self.lang).to_owned());
        self.select(
            text! { en: "What should change?", fr: "Que faut-il changer ?" },
            vec![
                choice(MenuItem::Consumer, text! { en: "add a consumer", fr: "ajouter un consommateur" }),
                choice(MenuItem::Upstream, text! { en: "where 8sens listens", fr: "l'adresse de 8sens" }),
                choice(MenuItem::UpstreamKey, text! { en: "the key of 8sens", fr: "la clé de 8sens" }),
                choice(MenuItem::Token, text! { en: "where the token travels", fr: "la place du jeton" }),
                choice(MenuItem::Listener, text! { en: "a listener", fr: "un point d'écoute" }),
                choice(MenuItem::Done, text! { en: "nothing more", fr: "rien de plus" }),
            ],
        )
    }

    /// Host and port, probed; one that does not answer is taken when the operator insists.
    pub(super) fn upstream(&self, default: &str) -> Answered<String> {
        let mut default = default.to_owned();
        loop {
            let address = self.line(
                text! {
                    en: "Where does 8sens listen (host and Port of its REST screen)?",
                    fr: "Où écoute 8sens (hôte et Port de son écran REST) ?"
                },
                &default,
                |text| entry::host_port(text).map(|_| ()),
            )?;
            let seen = probe(&address);
            let Text { en, fr } = seen.sentence(&address);
            super::super::talk(&text! { en: "  {en}", fr: "  {fr}" }, self.lang);
            if seen.is_http()
                || self.confirm(text! { en: "Go on all the same?", fr: "Continuer quand même ?" }, true)?
            {
                return Ok(address);
            }
            default = address;
        }
    }

    fn keeps_key(&self) -> Answered<bool> {
        self.confirm(
            text! {
                en: "A file 8sens-api-key is there. Use the key in it?",
                fr: "Un fichier 8sens-api-key est déjà là. Utiliser sa clé ?"
            },
            true,
        )
    }

    pub(super) fn upstream_key(&self) -> Answered<SecretString> {
        let lang = self.lang;
        let message = text! { en: "API Key of that screen (hidden):", fr: "API Key de cet écran (masquée) :" };
        let help =
            text! { en: "it goes into a file of its own, mode 0600", fr: "elle ira dans un fichier à elle, mode 0600" };
        let key = Password::new(message.in_lang(lang))
            .with_help_message(help.in_lang(lang))
            .with_render_config(self.render)
            .with_display_mode(PasswordDisplayMode::Hidden)
            .without_confirmation()
            .with_validator(move |text: &str| Ok(validation(entry::secret(text), lang)))
            .prompt()?;
        Ok(key.into())
    }

    fn idle_timeout(&self) -> Answered<String> {
        let number = |text: &str| match text.parse::<u32>() {
            Ok(1..=604_800) => Ok(()),
            _ => Err(text! { en: "a number of seconds, 1 to 604800", fr: "un nombre de secondes, de 1 à 604800" }),
        };
        let seconds = self.line(
            text! {
                en: "\"Durée d'inactivité\" of that screen, in seconds?",
                fr: "« Durée d'inactivité » de cet écran, en secondes ?"
            },
            "900",
            number,
        )?;
        Ok(format!("{seconds}s"))
    }

    pub(super) fn token(&self) -> Answered<Token> {
        let choice = |token, text: Text| Choice(token, text.in_lang(self.lang).to_owned());
        let known = PLACES.map(|place| {
            let shown = match place {
                "header:access_token" => text! { en: "the header access_token", fr: "l'en-tête access_token" },
                "bearer" => text! { en: "Authorization: Bearer …", fr: "Authorization: Bearer …" },
                "header:token" => text! { en: "the header token", fr: "l'en-tête token" },
                _ => text! { en: "the address: ?access_token=…", fr: "l'adresse : ?access_token=…" },
            };
            choice(Token::At(place), shown)
        });
        let unknown = text! {
            en: "I don't know: observe first, refuse nothing",
            fr: "je ne sais pas : observer d'abord, sans rien refuser"
        };
        let mut choices = vec![choice(Token::Unknown, unknown)];
        choices.extend(known);
        self.select(
            text! {
                en: "Where does the token travel, by the API documentation of 8sens?",
                fr: "Où voyage le jeton, d'après la documentation de l'API 8sens ?"
            },
            choices,
        )
    }

    pub(super) fn listener(&self) -> Answered<Listener> {
        let transport = self.transport(self.callers()?)?;
        let loopback = transport == Transport::Loopback;
        let address = self.line(
            text! { en: "Address and port to listen on?", fr: "Adresse et port d'écoute ?" },
            transport.default_address(),
            move |text| match entry::socket_address(text)? {
                address if loopback && !address.ip().to_canonical().is_loopback() => Err(text! {
                    en: "a loopback address, such as 127.0.0.1:8080",
                    fr: "une adresse de loopback, par exemple 127.0.0.1:8080"
                }),
                _ => Ok(()),
            },
        )?;
        let address: SocketAddr = entry::socket_address(&address).map_err(Unanswered::Failed)?;
        Ok(Listener { address, transport })
    }

    fn callers(&self) -> Answered<Callers> {
        let choice = |kind, text: Text| Choice(kind, text.in_lang(self.lang).to_owned());
        self.select(
            text! { en: "Who connects to the gate?", fr: "Qui se connecte à la passerelle ?" },
            vec![
                choice(
                    Callers::Loopback,
                    text! {
                        en: "programs on this machine only (a first trial)",
                        fr: "des programmes de cette machine seulement (premier essai)"
                    },
                ),
                choice(
                    Callers::Acme,
                    text! {
                        en: "the internet, TLS with certificates fetched by the gate (ACME)",
                        fr: "internet, en TLS, certificats obtenus par la passerelle (ACME)"
                    },
                ),
                choice(
                    Callers::Files,
                    text! {
                        en: "the internet, TLS with certificate files of mine",
                        fr: "internet, en TLS, avec mes fichiers de certificat"
                    },
                ),
                choice(
                    Callers::BehindProxy,
                    text! {
                        en: "a proxy in front that does TLS (nginx, Caddy, HAProxy)",
                        fr: "un proxy placé devant qui fait le TLS (nginx, Caddy, HAProxy)"
                    },
                ),
                choice(
                    Callers::Lan,
                    text! {
                        en: "private addresses only, in clear",
                        fr: "des adresses privées seulement, en clair"
                    },
                ),
            ],
        )
    }

    fn transport(&self, callers: Callers) -> Answered<Transport> {
        Ok(match callers {
            Callers::Loopback => Transport::Loopback,
            Callers::Lan => Transport::Lan,
            Callers::Files => Transport::Files {
                certificate: self.line(
                    text! {
                        en: "Certificate chain (PEM file)?",
                        fr: "Chaîne de certificats (fichier PEM) ?"
                    },
                    "fullchain.pem",
                    filled,
                )?,
                key: self.line(
                    text! {
                        en: "Its private key (PEM file, mode 0600)?",
                        fr: "Sa clé privée (fichier PEM, mode 0600) ?"
                    },
                    "privkey.pem",
                    filled,
                )?,
            },
            Callers::Acme => Transport::Acme {
                domains: words(&self.line(
                    text! {
                        en: "Domain names, separated by spaces?",
                        fr: "Noms de domaine, séparés par des espaces ?"
                    },
                    "",
                    filled,
                )?),
                contact: self.line(
                    text! {
                        en: "Mail address for the certificate authority?",
                        fr: "Adresse électronique pour l'autorité de certification ?"
                    },
                    "",
                    filled,
                )?,
                directory: None,
            },
            Callers::BehindProxy => Transport::BehindProxy(words(&self.line(
                text! {
                    en: "Address of the proxy (several: separated by spaces)?",
                    fr: "Adresse du proxy (plusieurs : séparées par des espaces) ?"
                },
                "127.0.0.1",
                |text| words(text).iter().try_for_each(|word| entry::network(word).map(|_| ())),
            )?)),
        })
    }

    /// Which of several listeners is meant.
    pub(super) fn which_listener(&self, addresses: &[String]) -> Answered<usize> {
        if addresses.len() < 2 {
            return Ok(0);
        }
        let choices = addresses.iter().enumerate().map(|(number, address)| Choice(number, address.clone())).collect();
        self.select(text! { en: "Which listener?", fr: "Quel point d'écoute ?" }, choices)
    }

    pub(super) fn consumer(&self, others: &[NewConsumer]) -> Answered<NewConsumer> {
        let default = if others.is_empty() { "boutique" } else { "" };
        let taken: Vec<String> = others.iter().map(|other| other.name.clone()).collect();
        let free = move |text: &str| match entry::name(text)? {
            name if taken.contains(&name) => Err(text! { en: "{name} already exists", fr: "{name} existe déjà" }),
            _ => Ok(()),
        };
        let name = self.line(
            text! {
                en: "Name of the consumer (a shop, a partner)?",
                fr: "Nom du consommateur (une boutique, un partenaire) ?"
            },
            default,
            free,
        )?;
        NewConsumer::new(&name, self.today).map_err(Unanswered::Failed)
    }

    fn another(&self) -> Answered<bool> {
        self.confirm(text! { en: "Another consumer?", fr: "Un autre consommateur ?" }, false)
    }

    /// A yes or a no.
    pub(super) fn confirm(&self, message: Text, default: bool) -> Answered<bool> {
        let lang = self.lang;
        let yes_no = move |yes: bool| match (lang, yes) {
            (Lang::En, true) => "yes".to_owned(),
            (Lang::En, false) => "no".to_owned(),
            (Lang::Fr, true) => "oui".to_owned(),
            (Lang::Fr, false) => "non".to_owned(),
        };
        let shown_default = move |yes: bool| match (lang, yes) {
            (Lang::En, true) => "Y/n".to_owned(),
            (Lang::En, false) => "y/N".to_owned(),
            (Lang::Fr, true) => "O/n".to_owned(),
            (Lang::Fr, false) => "o/N".to_owned(),
        };
        let parse = |answer: &str| match answer.trim().to_lowercase().as_str() {
            "y" | "yes" | "o" | "oui" => Ok(true),
            "n" | "no" | "non" => Ok(false),
            _ => Err(()),
        };
        let error = text! { en: "answer yes or no", fr: "répondez oui ou non" };
        Ok(Confirm::new(message.in_lang(lang))
            .with_default(default)
            .with_formatter(&yes_no)
            .with_default_value_formatter(&shown_default)
            .with_parser(&parse)
            .with_error_message(error.in_lang(lang))
            .with_render_config(self.render)
            .prompt()?)
    }

    fn select<T>(&self, message: Text, choices: Vec<Choice<T>>) -> Answered<T> {
        let help = text! { en: "↑↓ to move, enter to choose", fr: "↑↓ pour se déplacer, entrée pour choisir" };
        let chosen = Select::new(message.in_lang(self.lang), choices)
            .with_help_message(help.in_lang(self.lang))
            .without_filtering()
            .with_render_config(self.render)
            .prompt()?;
        Ok(chosen.0)
    }

    /// One line; an empty one is the default, if there is one.
    fn line(
        &self,
        message: Text,
        default: &str,
        check: impl Fn(&str) -> Result<(), Text> + Clone + 'static,
    ) -> Answered<String> {
        let lang = self.lang;
        let mut prompt = inquire::Text::new(message.in_lang(lang))
            .with_render_config(self.render)
            .with_validator(move |text: &str| Ok(validation(check(text.trim()), lang)));
        if !default.is_empty() {
            prompt = prompt.with_default(default);
        }
        Ok(prompt.prompt()?.trim().to_owned())
    }
}

fn validation(result: Result<(), Text>, lang: Lang) -> Validation {
    match result {
        Ok(()) => Validation::Valid,
        Err(why) => Validation::Invalid(why.in_lang(lang).into()),
    }
}

fn filled(text: &str) -> Result<(), Text> {
    if text.is_empty() { Err(text! { en: "this is needed", fr: "il en faut un" }) } else { Ok(()) }
}

fn words(text: &str) -> Vec<String> {
    text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
