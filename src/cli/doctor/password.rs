//! The password of a login: from a file or a prompt, never from the command line, which other users of the machine can
//! read.

use crate::cli::Exit;
use crate::text;
use crate::text::Lang;
use inquire::{Password, PasswordDisplayMode};
use secrecy::SecretString;
use std::io::{IsTerminal, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Longest password in bytes.
const MAX: u64 = 4096;

/// Reads it: one line of the file, of the standard input, or typed at a terminal without being shown.
pub(super) fn read(file: Option<&Path>, user: &str, lang: Lang) -> Result<SecretString, Exit> {
    let read = match file {
        Some(path) => std::fs::File::open(path).and_then(first_line),
        None if std::io::stdin().is_terminal() => {
            let question = text! { en: "password of {user} in 8sens", fr: "mot de passe de {user} dans 8sens" };
            let asked = Password::new(question.in_lang(lang))
                .without_confirmation()
                .with_display_mode(PasswordDisplayMode::Hidden);
            return asked.prompt().map(SecretString::from).map_err(|_| Exit::Failure);
        }
        None => first_line(std::io::stdin()),
    };
    read.map_err(|error| {
        let text = text! {
            en: "error: the password cannot be read: {error}",
            fr: "erreur : mot de passe illisible : {error}"
        };
        crate::cli::talk(&text, lang);
        Exit::Failure
    })
}

fn first_line(source: impl Read) -> std::io::Result<SecretString> {
    let mut text = Zeroizing::new(String::new());
    source.take(MAX).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned().into())
}
