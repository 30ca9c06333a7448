//! Clients and prospects: *tiers* in the words of 8sens.

use serde::{Deserialize, Serialize};

/// Most characters of one field.
const MAX_CHARS: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum ThirdPartyKind {
    Client,
    Prospect,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::sandbox) struct ThirdParty {
    pub nom: String,
    pub email: Option<String>,
    pub ville: Option<String>,
}

impl ThirdParty {
    /// What is wrong with it, in French, as 8sens is.
    pub(in crate::sandbox) fn problem(&self) -> Option<&'static str> {
        if self.nom.trim().is_empty() {
            return Some("nom : ne doit pas être vide");
        }
        let fields = [Some(&self.nom), self.email.as_ref(), self.ville.as_ref()];
        if fields.into_iter().flatten().any(|field| field.chars().count() > MAX_CHARS) {
            return Some("un champ dépasse 200 caractères");
        }
        let no_address = self.email.as_ref().is_some_and(|email| !email.contains('@'));
        no_address.then_some("email : pas une adresse")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_checked() {
        let problem = |nom: &str, email: Option<&str>| {
            ThirdParty { nom: nom.to_owned(), email: email.map(str::to_owned), ville: None }.problem()
        };
        assert_eq!(problem("Anaïs", None), None);
        assert_eq!(problem(&"é".repeat(200), Some("anais@example.com")), None);
        assert!(problem(" ", None).unwrap().starts_with("nom"));
        assert!(problem("Anaïs", Some("anais")).unwrap().starts_with("email"));
        assert!(problem(&"é".repeat(201), None).unwrap().contains("200"));
    }
}
