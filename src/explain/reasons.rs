//! The reasons of the access log, in an operator's words.

use crate::denial::DenyCode;
use crate::policy::{budget, quota, route};
use crate::text;
use crate::text::Text;

/// What happened: by the reason where it tells more than the code does.
pub(super) fn meaning(code: DenyCode, reason: &str) -> Text {
    known(reason).unwrap_or_else(|| of_code(code))
}

/// The meaning of a reason. `None` for one that adds nothing to its code.
pub(super) fn known(reason: &str) -> Option<Text> {
    of_policies(reason).or_else(|| of_heads(reason)).or_else(|| of_connections(reason)).or_else(|| of_8sens(reason))
}

fn of_policies(reason: &str) -> Option<Text> {
    Some(match reason {
        "key not known" => text! { en: "no consumer has this key", fr: "aucun consommateur n'a cette clé" },
        "well-formed key, but not known" => text! {
            en: "the key is whole and was made by sensgate, but no consumer has it: revoked, or of another gate",
            fr: "la clé est entière et a été créée par sensgate, mais aucun consommateur ne l'a : révoquée, ou d'une autre passerelle"
        },
        "mistyped or truncated key" => text! {
            en: "the key was made by sensgate and damaged on its way: cut short, or with a wrong character",
            fr: "la clé a été créée par sensgate puis abîmée en chemin : tronquée, ou avec un caractère faux"
        },
        "key expired" => {
            text! { en: "the key was good, its last day is over", fr: "la clé était bonne, son dernier jour est passé" }
        }
        "key disabled" => text! { en: "the key is known and switched off", fr: "la clé est connue, mais désactivée" },
        "more than one key field" => {
            text! { en: "the request has more than one key field", fr: "la requête a plus d'un champ de clé" }
        }
        "keys joined by a comma" => text! {
            en: "the key holds a comma: something on the way has joined two fields",
            fr: "la clé contient une virgule : quelque chose en chemin a réuni deux champs"
        },
        "key is empty, too long or not visible ASCII" => text! {
            en: "the key is empty, longer than 256 bytes, or not visible ASCII",
            fr: "la clé est vide, dépasse 256 octets ou n'est pas de l'ASCII visible"
        },
        "key in the query" => text! { en: "a key stands in the URL", fr: "une clé figure dans l'URL" },
        "key in a cookie" => text! { en: "a key stands in a cookie", fr: "une clé figure dans un cookie" },
        "too many Cookie fields" => {
            text! { en: "there are more than 8 Cookie fields", fr: "il y a plus de 8 champs Cookie" }
        }
        "more than one token" => {
            text! { en: "the request has more than one access token", fr: "la requête a plus d'un jeton d'accès" }
        }
        "more than one Authorization field" => {
            text! { en: "the request has more than one Authorization field", fr: "la requête a plus d'un champ Authorization" }
        }
        "tokens joined by a comma" => text! {
            en: "the token holds a comma: something on the way has joined two fields",
            fr: "le jeton contient une virgule : quelque chose en chemin a réuni deux champs"
        },
        "token is empty, too long or not visible ASCII" => text! {
            en: "the access token is empty, longer than 4096 bytes, or not visible ASCII",
            fr: "le jeton d'accès est vide, dépasse 4096 octets ou n'est pas de l'ASCII visible"
        },
        "no token" => {
            text! { en: "the request shows no access token", fr: "la requête ne présente pas de jeton d'accès" }
        }
        "the consumer is leaving" => text! {
            en: "the consumer was being taken out of the configuration",
            fr: "le consommateur était en train d'être retiré de la configuration"
        },
        "idle for too long" => text! {
            en: "the access token was not used for longer than 8sens keeps it",
            fr: "le jeton d'accès est resté inutilisé plus longtemps que 8sens ne le garde"
        },
        "issued to another consumer" => text! {
            en: "the access token was handed to another consumer",
            fr: "le jeton d'accès a été remis à un autre consommateur"
        },
        "never handed out here" => text! {
            en: "the access token never came out of a login through this gate",
            fr: "le jeton d'accès n'est jamais sorti d'une connexion passée par cette passerelle"
        },
        route::DENIED => {
            text! { en: "method and path match a deny rule", fr: "la méthode et le chemin correspondent à une règle deny" }
        }
        "matches no allow rule" => {
            text! { en: "method and path match no allow rule", fr: "la méthode et le chemin ne correspondent à aucune règle allow" }
        }
        "client outside allow_from" => text! {
            en: "the client's address is in none of the consumer's networks",
            fr: "l'adresse du client n'est dans aucun des réseaux du consommateur"
        },
        "plaintext where TLS is needed" => {
            text! { en: "the request came in clear", fr: "la requête est arrivée en clair" }
        }
        "public source on a lan listener" => text! {
            en: "a public address called a listener for private ones",
            fr: "une adresse publique a appelé un point d'écoute réservé aux adresses privées"
        },
        "peer is not a trusted proxy" => text! {
            en: "a listener behind a proxy was called by something else",
            fr: "un point d'écoute placé derrière un proxy a été appelé par autre chose"
        },
        "trusted proxy does not say https" => text! {
            en: "the proxy in front does not say that its own caller used https",
            fr: "le proxy placé devant ne dit pas que son propre appelant utilisait https"
        },
        budget::ADDRESS_EXHAUSTED => text! {
            en: "too many requests of this address were refused lately",
            fr: "trop de requêtes de cette adresse ont été refusées ces derniers temps"
        },
        budget::CREDENTIALS_EXHAUSTED => text! {
            en: "too many wrong keys came from this address lately",
            fr: "trop de mauvaises clés sont venues de cette adresse ces derniers temps"
        },
        budget::TOKENS_EXHAUSTED => text! {
            en: "too many access tokens of this consumer were refused lately",
            fr: "trop de jetons d'accès de ce consommateur ont été refusés ces derniers temps"
        },
        quota::OVER_ROUTE => text! {
            en: "the consumer has used up what it may ask of these routes",
            fr: "le consommateur a épuisé ce qu'il peut demander à ces routes"
        },
        quota::OVER_CONSUMER => {
            text! { en: "the consumer has used up its quota", fr: "le consommateur a épuisé son quota" }
        }
        "target is *" => {
            text! { en: "the request asks about the server as a whole", fr: "la requête porte sur le serveur entier" }
        }
        _ => return None,
    })
}

fn of_heads(reason: &str) -> Option<Text> {
    Some(match reason {
        "path is not in canonical form" => text! {
            en: "the path has a second spelling, such as //, a dot segment or a needless %-escape",
            fr: "le chemin a une seconde écriture : //, segment « . » ou échappement % inutile"
        },
        "byte in the query that has to be encoded" => {
            text! { en: "the query holds a byte that has to be %-encoded", fr: "la partie après « ? » contient un octet à encoder avec %" }
        }
        "Connection names a field" => text! {
            en: "the Connection field says more than close or keep-alive",
            fr: "le champ Connection dit autre chose que close ou keep-alive"
        },
        "Expect is not 100-continue" => {
            text! { en: "the Expect field says something else than 100-continue", fr: "le champ Expect dit autre chose que 100-continue" }
        }
        "Content-Length over the limit" => {
            text! { en: "the announced body is larger than allowed", fr: "le corps annoncé dépasse la taille permise" }
        }
        "body grew over the limit" => {
            text! { en: "the body grew larger than allowed", fr: "le corps a dépassé la taille permise" }
        }
        "head larger than its limit" => {
            text! { en: "request line and fields together are too large", fr: "la ligne de requête et les champs dépassent ensemble la limite" }
        }
        "too many fields" => text! { en: "there are too many header fields", fr: "il y a trop de champs d'en-tête" },
        "target longer than its limit" => {
            text! { en: "path and query are too long", fr: "le chemin et sa suite sont trop longs" }
        }
        "not HTTP/1.0 or HTTP/1.1" => {
            text! { en: "the request line names no version of HTTP/1", fr: "la ligne de requête ne nomme aucune version de HTTP/1" }
        }
        "HTTP/1.0" => text! { en: "the caller speaks HTTP/1.0", fr: "l'appelant parle HTTP/1.0" },
        "request head cannot be parsed" => {
            text! { en: "this is no HTTP request", fr: "ceci n'est pas une requête HTTP" }
        }
        "empty line before the request" => {
            text! { en: "an empty line precedes the request", fr: "une ligne vide précède la requête" }
        }
        "authority of the target is not the Host" => text! {
            en: "the target names another host than the Host field",
            fr: "la cible nomme un autre hôte que le champ Host"
        },
        "control byte in a field value" => {
            text! { en: "a header field holds a control character", fr: "un champ d'en-tête contient un caractère de contrôle" }
        }
        "Host is not a host" => text! { en: "the Host field names no host", fr: "le champ Host ne nomme pas un hôte" },
        "Host is missing" => text! { en: "the Host field is missing", fr: "le champ Host manque" },
        "more than one Host" => text! { en: "there is more than one Host field", fr: "il y a plus d'un champ Host" },
        "more than one Content-Length" => {
            text! { en: "there is more than one Content-Length", fr: "il y a plus d'un Content-Length" }
        }
        "Content-Length is not a number" => {
            text! { en: "Content-Length is not a number", fr: "Content-Length n'est pas un nombre" }
        }
        "more than one Transfer-Encoding" => {
            text! { en: "there is more than one Transfer-Encoding", fr: "il y a plus d'un Transfer-Encoding" }
        }
        "Content-Length beside Transfer-Encoding" => text! {
            en: "Content-Length and Transfer-Encoding contradict each other",
            fr: "Content-Length et Transfer-Encoding se contredisent"
        },
        "bare LF" | "bare CR" => text! {
            en: "a line of the head does not end in CR LF",
            fr: "une ligne de l'en-tête ne finit pas par CR LF"
        },
        "NUL" => text! { en: "the head holds a NUL byte", fr: "l'en-tête contient un octet nul" },
        "chunked body is not well-formed" => {
            text! { en: "the chunked body is not well-formed", fr: "le corps en morceaux (chunked) est mal formé" }
        }
        _ => return None,
    })
}

fn of_connections(reason: &str) -> Option<Text> {
    Some(match reason {
        "no PROXY header from a proxy" => text! {
            en: "a proxy that has to begin with a PROXY header did not",
            fr: "un proxy qui doit commencer par un en-tête PROXY ne l'a pas fait"
        },
        "TLS handshake failed" => text! { en: "the TLS handshake failed", fr: "la négociation TLS a échoué" },
        "closed before the TLS handshake" => {
            text! { en: "the caller left before the TLS handshake", fr: "l'appelant est parti avant la négociation TLS" }
        }
        "connection not opened in time" => text! {
            en: "PROXY header and TLS handshake took too long",
            fr: "l'en-tête PROXY et la négociation TLS ont pris trop de temps"
        },
        "connection ended within the head" => {
            text! { en: "the caller left in the middle of its request head", fr: "l'appelant est parti au milieu de son en-tête" }
        }
        "nothing was sent in time" => {
            text! { en: "the caller connected and sent nothing", fr: "l'appelant s'est connecté et n'a rien envoyé" }
        }
        "head not complete in time" => {
            text! { en: "the request head took too long", fr: "l'en-tête a mis trop de temps à arriver" }
        }
        "body not complete in time" => {
            text! { en: "the request body fell silent", fr: "le corps de la requête s'est interrompu trop longtemps" }
        }
        "body comes too slowly" => {
            text! { en: "the request body came too slowly", fr: "le corps de la requête arrivait trop lentement" }
        }
        "too many from one address" => text! {
            en: "this address has as many connections as one address may",
            fr: "cette adresse a autant de connexions qu'une seule peut en avoir"
        },
        _ => return None,
    })
}

fn of_8sens(reason: &str) -> Option<Text> {
    Some(match reason {
        "8sens was silent for too long" => text! {
            en: "8sens took the request and did not answer in time; a write may have been carried out",
            fr: "8sens a reçu la requête et n'a pas répondu à temps ; une écriture a pu être effectuée"
        },
        "answer of 8sens cannot be parsed" => {
            text! { en: "what 8sens answered is no HTTP", fr: "ce que 8sens a répondu n'est pas du HTTP" }
        }
        "answer of 8sens is not valid" => {
            text! { en: "what 8sens answered cannot be passed on safely", fr: "la réponse de 8sens ne peut pas être transmise sans risque" }
        }
        "certificate of 8sens is not from upstream.tls.ca" => text! {
            en: "the certificate that 8sens shows was not issued by anybody in `upstream.tls.ca`",
            fr: "le certificat que présente 8sens n'a été émis par aucune autorité de `upstream.tls.ca`"
        },
        "certificate of 8sens does not name it" => text! {
            en: "the certificate that 8sens shows is for another name than `upstream.tls.name`",
            fr: "le certificat que présente 8sens est pour un autre nom que `upstream.tls.name`"
        },
        "certificate of 8sens has expired" => {
            text! { en: "the certificate that 8sens shows has expired", fr: "le certificat que présente 8sens a expiré" }
        }
        "certificate of 8sens is not valid" => {
            text! { en: "the certificate that 8sens shows is not valid", fr: "le certificat que présente 8sens n'est pas valable" }
        }
        "TLS handshake with 8sens failed" => text! {
            en: "there is no TLS at `upstream.address`, or none that the gate speaks",
            fr: "il n'y a pas de TLS à `upstream.address`, ou pas un que parle la passerelle"
        },
        "connect timed out" => text! { en: "8sens's machine does not react", fr: "la machine de 8sens ne réagit pas" },
        "no connection to 8sens" => {
            text! { en: "8sens takes no connections: its REST server is not running", fr: "8sens n'accepte pas de connexion : son serveur REST n'est pas lancé" }
        }
        "8sens closed the connection without an answer" => {
            text! { en: "8sens closed the connection without an answer", fr: "8sens a fermé la connexion sans répondre" }
        }
        "name of 8sens not resolved yet" => {
            text! { en: "the name of 8sens's machine has never been resolved", fr: "le nom de la machine de 8sens n'a jamais été résolu" }
        }
        _ => return None,
    })
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
            text! { en: "a key was sent outside its header field", fr: "une clé a été envoyée hors de son champ d'en-tête" }
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
            text! { en: "the access token is another consumer's", fr: "le jeton d'accès est celui d'un autre consommateur" }
        }
        DenyCode::ForbiddenRoute => {
            text! { en: "the consumer may not use this route", fr: "le consommateur n'a pas droit à cette route" }
        }
        DenyCode::ForbiddenAddress => {
            text! { en: "the consumer may not call from this address", fr: "le consommateur ne peut pas appeler depuis cette adresse" }
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
        DenyCode::RateLimited => text! { en: "too many requests", fr: "trop de requêtes" },
        DenyCode::HeadersTooLarge => {
            text! { en: "the request head is too large", fr: "l'en-tête de la requête est trop grand" }
        }
        DenyCode::UnsupportedTransferCoding => {
            text! { en: "the body comes in a coding other than chunked", fr: "le corps arrive dans un codage autre que chunked" }
        }
        DenyCode::UpstreamUnreachable => text! { en: "8sens could not be reached", fr: "8sens n'a pas pu être joint" },
        DenyCode::UpstreamInvalidResponse => {
            text! { en: "8sens's answer is not valid", fr: "la réponse de 8sens n'est pas valide" }
        }
        DenyCode::TooManyConnections => {
            text! { en: "all connections are in use", fr: "toutes les connexions sont occupées" }
        }
        DenyCode::UpstreamTimeout => text! { en: "8sens did not answer in time", fr: "8sens n'a pas répondu à temps" },
        DenyCode::HttpVersion => {
            text! { en: "this version of HTTP is not supported", fr: "cette version de HTTP n'est pas prise en charge" }
        }
    }
}
