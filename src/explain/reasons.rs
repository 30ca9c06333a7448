//! What happened, in an operator's words.

use crate::domain::denial::{DenyCode, Reason};
use crate::text;
use crate::text::Text;

/// What happened: by the reason where it tells more than the code does.
pub(super) fn meaning(code: DenyCode, reason: Option<Reason>) -> Text {
    reason.map_or_else(|| of_code(code), |reason| Text { en: reason.english().into(), fr: reason.french().into() })
}

/// What a code says by itself. Exhaustive, so that a new code is explained before it compiles.
fn of_code(code: DenyCode) -> Text {
    match code {
        DenyCode::MalformedRequest => text! { en: "the request is not well-formed", fr: "la requête est mal formée" },
        DenyCode::AmbiguousKey => text! { en: "more than one key was sent", fr: "plus d'une clé a été envoyée" },
        DenyCode::AmbiguousToken => {
            text! { en: "more than one access token was sent", fr: "plus d'un jeton d'accès a été envoyé" }
        }
        DenyCode::KeyInUrl => {
            text! {
                en: "a key was sent outside its header field",
                fr: "une clé a été envoyée hors de son champ d'en-tête"
            }
        }
        DenyCode::MissingKey => {
            text! { en: "no api_key field reached the gate", fr: "aucun champ api_key n'est parvenu à la passerelle" }
        }
        DenyCode::UnknownKey => text! { en: "the key is not accepted", fr: "la clé n'est pas acceptée" },
        DenyCode::SessionMissing => {
            text! { en: "the request shows no access token", fr: "la requête ne présente pas de jeton d'accès" }
        }
        DenyCode::SessionUnknown => {
            text! { en: "the access token is not known here", fr: "le jeton d'accès n'est pas connu ici" }
        }
        DenyCode::SessionExpired => text! { en: "the access token has expired", fr: "le jeton d'accès a expiré" },
        DenyCode::SessionNotYours => {
            text! {
                en: "the access token is another consumer's",
                fr: "le jeton d'accès est celui d'un autre consommateur"
            }
        }
        DenyCode::ForbiddenRoute => {
            text! { en: "the consumer may not use this route", fr: "le consommateur n'a pas droit à cette route" }
        }
        DenyCode::ForbiddenAddress => {
            text! {
                en: "the consumer may not call from this address",
                fr: "le consommateur ne peut pas appeler depuis cette adresse"
            }
        }
        DenyCode::InsecureTransport => {
            text! { en: "the request did not come encrypted", fr: "la requête n'est pas arrivée chiffrée" }
        }
        DenyCode::MethodNotAllowed => {
            text! { en: "this method is never forwarded", fr: "cette méthode n'est jamais transmise" }
        }
        DenyCode::RequestTimeout => {
            text! { en: "the request took too long to arrive", fr: "la requête a mis trop de temps à arriver" }
        }
        DenyCode::BodyTooLarge => {
            text! { en: "the request body is too large", fr: "le corps de la requête est trop grand" }
        }
        DenyCode::UriTooLong => {
            text! { en: "path and query are too long", fr: "le chemin et sa suite sont trop longs" }
        }
        DenyCode::ExpectationFailed => text! {
            en: "the request expects something that the gate does not do",
            fr: "la requête attend quelque chose que la passerelle ne fait pas"
        },
        DenyCode::MisdirectedRequest => text! {
            en: "the request names an https URI and did not come by https",
            fr: "la requête nomme une URI https et n'est pas arrivée par https"
        },
        DenyCode::RateLimited => text! { en: "too many requests", fr: "trop de requêtes" },
        DenyCode::LoginThrottled => text! { en: "too many failed logins", fr: "trop de connexions échouées" },
        DenyCode::HeadersTooLarge => {
            text! { en: "the request head is too large", fr: "l'en-tête de la requête est trop grand" }
        }
        DenyCode::UnknownMethod => text! { en: "this method is not known", fr: "cette méthode n'est pas connue" },
        DenyCode::UnsupportedTransferCoding => {
            text! {
                en: "the body comes in a coding other than chunked",
                fr: "le corps arrive dans un codage autre que chunked"
            }
        }
        DenyCode::UpstreamUnreachable => text! { en: "8sens could not be reached", fr: "8sens n'a pas pu être joint" },
        DenyCode::UpstreamInvalidResponse => {
            text! { en: "8sens's answer is not valid", fr: "la réponse de 8sens n'est pas valide" }
        }
        DenyCode::TooManyConnections => {
            text! { en: "all connections are in use", fr: "toutes les connexions sont occupées" }
        }
        DenyCode::LoginUnavailable => {
            text! { en: "the gate could not log in", fr: "la passerelle n'a pas pu se connecter" }
        }
        DenyCode::UpstreamTimeout => text! { en: "8sens did not answer in time", fr: "8sens n'a pas répondu à temps" },
        DenyCode::HttpVersion => {
            text! { en: "this version of HTTP is not supported", fr: "cette version de HTTP n'est pas prise en charge" }
        }
    }
}
