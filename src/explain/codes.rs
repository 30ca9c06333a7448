//! Which rule is behind each code, which setting is behind the rule, and what would let the request through.

use super::{Case, Explanation, Setting, login};
use crate::config::{show_duration, show_size};
use crate::domain::denial::{DenyCode, Reason};
use crate::domain::rules::route::RouteRule;
use crate::text;
use crate::text::Text;

/// Exhaustive: a new code does not compile without its explanation.
pub(super) fn explain(case: &Case<'_>) -> Explanation {
    match case.refusal.code {
        DenyCode::MalformedRequest => malformed(case),
        DenyCode::AmbiguousKey | DenyCode::KeyInUrl | DenyCode::MissingKey | DenyCode::UnknownKey => key(case),
        DenyCode::AmbiguousToken => ambiguous_token(case),
        DenyCode::SessionMissing | DenyCode::SessionUnknown | DenyCode::SessionExpired | DenyCode::SessionNotYours => {
            session(case)
        }
        DenyCode::ForbiddenRoute => forbidden_route(case),
        DenyCode::ForbiddenAddress => forbidden_address(case),
        DenyCode::InsecureTransport => insecure_transport(case),
        DenyCode::MethodNotAllowed
        | DenyCode::UnknownMethod
        | DenyCode::ExpectationFailed
        | DenyCode::HttpVersion
        | DenyCode::UnsupportedTransferCoding => never_forwarded(case),
        DenyCode::MisdirectedRequest => misdirected(case),
        DenyCode::RequestTimeout => too_slow(case),
        DenyCode::BodyTooLarge | DenyCode::UriTooLong | DenyCode::HeadersTooLarge => too_large(case),
        DenyCode::RateLimited => rate_limited(case),
        DenyCode::LoginThrottled => login_throttled(case),
        DenyCode::TooManyConnections => too_many_connections(case),
        DenyCode::LoginUnavailable => login::explain(case),
        DenyCode::UpstreamUnreachable | DenyCode::UpstreamInvalidResponse | DenyCode::UpstreamTimeout => upstream(case),
    }
}

fn framing_rule() -> Text {
    text! {
        en: "framing: what could be read in two ways is never forwarded; no setting changes that",
        fr: "cadrage : ce qui pourrait se lire de deux façons n'est jamais transmis ; aucun réglage n'y change rien"
    }
}

fn malformed(case: &Case<'_>) -> Explanation {
    if case.reason() == Some(Reason::NoProxyHeader) {
        let rule = text! {
            en: "PROXY header: proxies of `proxy_protocol` begin each connection with one",
            fr: "en-tête PROXY : les proxys de `proxy_protocol` commencent chaque connexion par lui"
        };
        let setting = listener(case, "proxy_protocol", None);
        return case.explanation(
            rule,
            setting,
            vec![text! {
                en: "let the proxy send it (HAProxy: send-proxy-v2; nginx: proxy_protocol on), or take its address out \
                     of `proxy_protocol`",
                fr: "faites-le envoyer par le proxy (HAProxy : send-proxy-v2 ; nginx : proxy_protocol on), ou retirez \
                     son adresse de `proxy_protocol`"
            }],
        );
    }
    if case.reason() == Some(Reason::PathEncodedSlash) {
        return encoded_slash(case);
    }
    let remedy = text! {
        en: "fix the caller, or whatever is between it and the gate",
        fr: "corrigez l'appelant, ou ce qui se trouve entre lui et la passerelle"
    };
    case.explanation(framing_rule(), None, vec![remedy])
}

fn never_forwarded(case: &Case<'_>) -> Explanation {
    let remedy = match case.refusal.code {
        DenyCode::MethodNotAllowed if case.reason() == Some(Reason::TargetStar) => text! {
            en: "ask for a path that begins with /; OPTIONS alone can ask about *, and the gate answers that itself",
            fr: "demandez un chemin qui commence par / ; seul OPTIONS peut porter sur *, et la passerelle y \
                 répond elle-même"
        },
        DenyCode::MethodNotAllowed => text! {
            en: "use GET, HEAD, POST, PUT, DELETE, PATCH or OPTIONS",
            fr: "employez GET, HEAD, POST, PUT, DELETE, PATCH ou OPTIONS"
        },
        DenyCode::UnknownMethod => text! {
            en: "use GET, HEAD, POST, PUT, DELETE, PATCH or OPTIONS, in capital letters",
            fr: "employez GET, HEAD, POST, PUT, DELETE, PATCH ou OPTIONS, en majuscules"
        },
        DenyCode::ExpectationFailed => text! {
            en: "leave the Expect field out, or send 100-continue in it once",
            fr: "supprimez le champ Expect, ou envoyez-y 100-continue une seule fois"
        },
        DenyCode::HttpVersion => text! {
            en: "let the caller speak HTTP/1.1: nginx in front with proxy_http_version 1.1, PHP 7 with \
                 'protocol_version' => 1.1 in the stream context; docs/callers.md lists others",
            fr: "faites parler HTTP/1.1 à l'appelant : nginx placé devant par proxy_http_version 1.1, PHP 7 par \
                 'protocol_version' => 1.1 dans le contexte du flux ; docs/fr/callers.md en donne d'autres"
        },
        _ => text! {
            en: "send the body with Content-Length, or chunked",
            fr: "envoyez le corps avec Content-Length, ou en chunked"
        },
    };
    case.explanation(framing_rule(), None, vec![remedy])
}

fn key(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "credential: exactly one valid key in the field api_key; can be neither shadowed nor switched off",
        fr: "identifiant : exactement une clé valide dans le champ api_key ; ni observable ni désactivable"
    };
    let of_key = |name: &str| {
        let id = case.refusal.key_id.as_deref()?;
        // The element where the key is on a line of its own, else what it says.
        let whole = case.consumer_setting(&format!("keys.{id}"), None)?;
        let exact = case.consumer_setting(&format!("keys.{id}.{name}"), None)?;
        Some(if exact.location.is_some() { exact } else { whole })
    };
    let (setting, remedies) = match (case.refusal.code, case.reason()) {
        (DenyCode::MissingKey, Some(Reason::Preflight)) => (
            None,
            vec![text! {
                en: "let the shop's server call the gate and the page call the shop: whatever a page holds, every \
                     visitor can read",
                fr: "faites appeler la passerelle par le serveur de la boutique, et la boutique par la page : ce \
                     qu'une page détient, tout visiteur peut le lire"
            }],
        ),
        (DenyCode::MissingKey, _) => (
            None,
            vec![
                text! {
                    en: "send the key in the header field api_key",
                    fr: "envoyez la clé dans le champ d'en-tête api_key"
                },
                text! {
                    en: "if it is sent: a proxy in front may drop names with an underscore (nginx: \
                         underscores_in_headers on;); `sensgate doctor --through URL` finds out",
                    fr: "si elle est envoyée : un proxy placé devant supprime peut-être les noms à tiret bas (nginx : \
                         underscores_in_headers on;) ; `sensgate doctor --through URL` le dira"
                },
            ],
        ),
        (DenyCode::KeyInUrl, _) => (
            None,
            vec![text! {
                en: "send it in the header field alone, and replace this key: URLs end up in logs (`sensgate keys \
                     rotate`)",
                fr: "envoyez-la dans le champ d'en-tête seulement, et remplacez cette clé : les URL finissent dans des \
                     journaux (`sensgate keys rotate`)"
            }],
        ),
        (DenyCode::AmbiguousKey, _) => (
            case.setting("credentials.aliases", None),
            vec![text! {
                en: "send exactly one key field; an alias counts as one",
                fr: "envoyez exactement un champ de clé ; un alias en est un"
            }],
        ),
        (_, Some(Reason::KeyExpired)) => (
            of_key("expires"),
            vec![
                text! {
                    en: "give the consumer a new key: `sensgate keys rotate`",
                    fr: "donnez une nouvelle clé au consommateur : `sensgate keys rotate`"
                },
                text! {
                    en: "or write a later day in `expires`",
                    fr: "ou écrivez un jour plus lointain dans `expires`"
                },
            ],
        ),
        (_, Some(Reason::KeyDisabled)) => (
            of_key("enabled"),
            vec![text! {
                en: "write `enabled = true`, or give out another key",
                fr: "écrivez `enabled = true`, ou donnez une autre clé"
            }],
        ),
        _ => (
            None,
            vec![
                text! {
                    en: "let the caller copy its key again, whole and without spaces",
                    fr: "faites recopier sa clé à l'appelant, entière et sans blancs"
                },
                text! {
                    en: "lost? make a new one: `sensgate keys rotate`; the old one cannot be shown again",
                    fr: "perdue ? créez-en une nouvelle : `sensgate keys rotate` ; l'ancienne ne peut plus être \
                         affichée"
                },
            ],
        ),
    };
    case.explanation(rule, setting, remedies)
}

fn ambiguous_token(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "token: at most one access token in all the places where 8sens might look for one",
        fr: "jeton : un seul jeton d'accès au plus dans tous les endroits où 8sens pourrait en chercher un"
    };
    let setting = case.setting("session.token_from", Some(token_places(case)));
    let remedy = text! {
        en: "send the token in one place only: header access_token, Authorization: Bearer, header token or query \
             access_token",
        fr: "envoyez le jeton à un seul endroit : en-tête access_token, Authorization: Bearer, en-tête token ou \
             paramètre access_token"
    };
    case.explanation(rule, setting, vec![remedy])
}

fn token_places(case: &Case<'_>) -> String {
    let places = case.settings.snapshot.session.token_from.iter().map(|place| format!("\"{}\"", place.as_str()));
    format!("[{}]", places.collect::<Vec<_>>().join(", "))
}

fn session(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "session: under guard, a token has to be a live one that this consumer got from a login through the gate",
        fr: "session : sous guard, un jeton doit être vivant et avoir été obtenu par ce consommateur en se connectant \
             à travers la passerelle"
    };
    let login = text! {
        en: "log in through the gate and send the new token",
        fr: "se connecter à travers la passerelle et envoyer le nouveau jeton"
    };
    let observe = text! {
        en: "while shops move over: mode = \"observe\" in [session] forwards such requests and logs them",
        fr: "le temps d'une transition : mode = \"observe\" dans [session] transmet ces requêtes et les journalise"
    };
    let mode = || case.setting("session.mode", Some("\"guard\"".to_owned())).filter(|_| case.refusal.enforced);
    let limits = &case.settings.snapshot.session.limits;
    let (method, path) = (&case.refusal.method, &case.refusal.path);
    let (setting, remedies) = match case.refusal.code {
        DenyCode::SessionMissing => (
            case.setting("session.public", None),
            vec![
                login,
                text! {
                    en: "if this route needs no token: add \"{method} {path}\" to `public` in [session]",
                    fr: "si cette route se passe de jeton : ajoutez \"{method} {path}\" à `public` dans [session]"
                },
                observe,
            ],
        ),
        DenyCode::SessionExpired => (
            case.setting("upstream.idle_timeout", Some(format!("\"{}\"", show_duration(limits.idle_timeout)))),
            vec![
                login,
                text! {
                    en: "if 8sens keeps tokens for longer: write its \"Durée d'inactivité\" into `idle_timeout` \
                         (`sensgate doctor --measure-idle` measures it)",
                    fr: "si 8sens garde les jetons plus longtemps : reportez sa « Durée d'inactivité » dans \
                         `idle_timeout` (`sensgate doctor --measure-idle` la mesure)"
                },
            ],
        ),
        DenyCode::SessionNotYours => (
            mode(),
            vec![
                text! {
                    en: "let this consumer log in with its own key; a token goes only with the key that got it",
                    fr: "faites connecter ce consommateur avec sa propre clé ; un jeton ne va qu'avec la clé qui l'a \
                         obtenu"
                },
                text! {
                    en: "if nobody can explain it, somebody has copied a token: `sensgate sessions end --consumer \
                         NAME`",
                    fr: "si personne ne se l'explique, quelqu'un a copié un jeton : `sensgate sessions end --consumer \
                         NOM`"
                },
            ],
        ),
        _ => (
            mode(),
            vec![
                login,
                text! {
                    en: "if the caller does log in: not through this gate; give it the gate's address for the login as \
                         well",
                    fr: "si l'appelant se connecte bien : ce n'est pas par cette passerelle ; donnez-lui l'adresse de \
                         la passerelle pour la connexion aussi"
                },
                observe,
            ],
        ),
    };
    case.explanation(rule, setting, remedies)
}

/// The way out of a rule that can be shadowed.
fn shadow() -> Text {
    text! {
        en: "to try it out: enforce = \"shadow\" for this consumer forwards, counts and logs instead",
        fr: "pour essayer : enforce = \"shadow\" pour ce consommateur transmet, compte et journalise à la place"
    }
}

fn rules(rules: &[RouteRule]) -> String {
    format!("[{}]", rules.iter().map(|rule| format!("\"{rule}\"")).collect::<Vec<_>>().join(", "))
}

/// The first rule that covers the refused request, whatever its spelling.
fn covering(rules: &[RouteRule], case: &Case<'_>) -> Option<usize> {
    let (method, path) = (case.refusal.method.as_bytes(), case.refusal.path.as_bytes());
    rules.iter().position(|rule| rule.covers_any_spelling(method, path))
}

fn login_spelling(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "route: what 8sens might take for a login, and the gate does not, is refused; can be neither shadowed nor \
             switched off",
        fr: "route : ce que 8sens pourrait prendre pour une connexion, et pas la passerelle, est refusé ; ni \
             observable ni désactivable"
    };
    let routes = &case.settings.snapshot.session.login_routes;
    let index = covering(routes, case);
    let which = index.and_then(|index| {
        case.setting(format!("session.login_routes.{index}"), Some(format!("\"{}\"", routes[index])))
    });
    let written = index.map_or_else(String::new, |index| routes[index].to_string());
    let remedy = text! {
        en: "let the caller ask for {written}, in that spelling",
        fr: "faites demander {written} à l'appelant, dans cette écriture"
    };
    case.explanation(rule, which.or_else(|| case.setting("session.login_routes", None)), vec![remedy])
}

fn encoded_slash(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "framing: a path with %2F has two readings; it is accepted where a rule says which of them 8sens has",
        fr: "cadrage : un chemin avec %2F se lit de deux façons ; il est accepté là où une règle dit laquelle est \
             celle de 8sens"
    };
    let value = rules(&case.settings.snapshot.encoded_slash);
    let remedies = vec![
        text! {
            en: "if 8sens takes it for a part of a name: add the route to `encoded_slash` in [upstream], such as \"GET \
                 /v1/articles/*\"",
            fr: "si 8sens y voit une partie d'un nom : ajoutez la route à `encoded_slash` dans [upstream], par exemple \
                 \"GET /v1/articles/*\""
        },
        text! {
            en: "or let the caller ask for the reference in the query",
            fr: "ou faites demander la référence après « ? » par l'appelant"
        },
    ];
    case.explanation(rule, case.setting("upstream.encoded_slash", Some(value)), remedies)
}

fn forbidden_route(case: &Case<'_>) -> Explanation {
    let (method, path) = (&case.refusal.method, &case.refusal.path);
    if case.reason() == Some(Reason::LoginSpelling) {
        return login_spelling(case);
    }
    if case.reason() == Some(Reason::DeniedByRule) {
        let rule = text! {
            en: "route: what a deny rule covers is refused in every spelling, whatever allow says",
            fr: "route : ce que couvre une règle deny est refusé dans toutes les écritures, quoi que dise allow"
        };
        let which = case.consumer().and_then(|consumer| {
            let index = covering(&consumer.deny, case)?;
            case.consumer_setting(&format!("deny.{index}"), Some(format!("\"{}\"", consumer.deny[index])))
        });
        let remedy = text! {
            en: "take this rule out of `deny`, or narrow it so that it does not cover {method} {path}",
            fr: "retirez cette règle de `deny`, ou restreignez-la pour qu'elle ne couvre pas {method} {path}"
        };
        return case.explanation(rule, which.or_else(|| case.consumer_setting("deny", None)), vec![remedy, shadow()]);
    }
    let rule = text! {
        en: "route: with `allow`, a consumer may use these routes and its login, nothing else",
        fr: "route : avec `allow`, un consommateur n'a droit qu'à ces routes et à sa connexion"
    };
    let value = case.consumer().and_then(|consumer| consumer.allow.as_deref()).map(rules);
    let remedy = text! { en: "add \"{method} {path}\" to `allow`", fr: "ajoutez \"{method} {path}\" à `allow`" };
    case.explanation(rule, case.consumer_setting("allow", value), vec![remedy, shadow()])
}

fn forbidden_address(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "address: with `allow_from`, a consumer's keys are good from these networks only",
        fr: "adresse : avec `allow_from`, les clés d'un consommateur ne valent que depuis ces réseaux"
    };
    let value = case.consumer().and_then(|consumer| consumer.allow_from.as_ref()).map(|networks| {
        format!("[{}]", networks.iter().map(|network| format!("\"{network}\"")).collect::<Vec<_>>().join(", "))
    });
    let address = &case.refusal.client_ip;
    let remedies = vec![
        text! { en: "add \"{address}\" to `allow_from`", fr: "ajoutez \"{address}\" à `allow_from`" },
        text! {
            en: "if {address} is a proxy of yours: name it in `trusted_proxies` of [client_ip], so that the caller \
                 behind it is seen",
            fr: "si {address} est l'un de vos proxys : nommez-le dans `trusted_proxies` de [client_ip], pour voir \
                 l'appelant derrière lui"
        },
        shadow(),
    ];
    case.explanation(rule, case.consumer_setting("allow_from", value), remedies)
}

/// A key of the listener, when there is only one that it can be.
fn listener(case: &Case<'_>, key: &str, value: Option<String>) -> Option<Setting> {
    match case.settings.listeners.as_slice() {
        [_] => case.setting(format!("listener.0.{key}"), value),
        _ => None,
    }
}

fn insecure_transport(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "transport: a key must not cross a network where others can read it; can be neither shadowed nor switched \
             off",
        fr: "transport : une clé ne doit pas traverser un réseau où d'autres peuvent la lire ; ni observable ni \
             désactivable"
    };
    let (setting, remedies) = match case.reason() {
        Some(Reason::PublicOnLan) => (
            listener(case, "plaintext", Some("\"lan\"".to_owned())),
            vec![text! {
                en: "let callers from outside come with TLS: give the listener `tls`, or another listener that has it",
                fr: "faites venir les appelants de l'extérieur en TLS : donnez `tls` au point d'écoute, ou un autre \
                     qui l'a"
            }],
        ),
        Some(Reason::PeerNotTrusted) => (
            case.setting("client_ip.trusted_proxies", None),
            vec![text! {
                en: "if it is your proxy, name its address in `trusted_proxies`; if not, keep others from this port",
                fr: "si c'est votre proxy, nommez son adresse dans `trusted_proxies` ; sinon, fermez ce port aux autres"
            }],
        ),
        Some(Reason::ProxyWithoutHttps) => (
            listener(case, "plaintext", Some("\"behind_proxy\"".to_owned())),
            vec![text! {
                en: "let the proxy set X-Forwarded-Proto to the scheme of its caller (nginx: proxy_set_header \
                     X-Forwarded-Proto $scheme;), and the caller use https",
                fr: "faites mettre par le proxy le schéma de son appelant dans X-Forwarded-Proto (nginx : \
                     proxy_set_header X-Forwarded-Proto $scheme;), et employer https par l'appelant"
            }],
        ),
        _ => (
            listener(case, "plaintext", None),
            vec![text! {
                en: "let the caller use https; a key that came in clear has to be replaced",
                fr: "faites employer https à l'appelant ; une clé arrivée en clair doit être remplacée"
            }],
        ),
    };
    case.explanation(rule, setting, remedies)
}

fn misdirected(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "transport: a request for an https URI is taken by https alone; no setting changes that",
        fr: "transport : une requête pour une URI https n'est acceptée que par https ; aucun réglage n'y change rien"
    };
    let setting = case.setting("client_ip.trusted_proxies", None);
    let remedies = vec![
        text! {
            en: "send it to a listener with TLS, or with a path alone in the request line",
            fr: "envoyez-la à un point d'écoute en TLS, ou avec un simple chemin dans la ligne de requête"
        },
        text! {
            en: "if a proxy in front does the TLS: name it in `trusted_proxies` of [client_ip] and let it send \
                 X-Forwarded-Proto: https",
            fr: "si un proxy placé devant fait le TLS : nommez-le dans `trusted_proxies` de [client_ip] et \
                 faites-lui envoyer X-Forwarded-Proto: https"
        },
    ];
    case.explanation(rule, setting, remedies)
}

fn too_slow(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "time: a request has so long to arrive, so that slow callers do not hold connections",
        fr: "durée : une requête a un temps compté pour arriver, pour que les appelants lents ne retiennent pas de \
             connexions"
    };
    let connections = &case.settings.connections;
    let quoted = |duration| Some(format!("\"{}\"", show_duration(duration)));
    let setting = match case.reason() {
        Some(Reason::BodySilent) => case.setting("limits.body_timeout", quoted(connections.body.grace)),
        Some(Reason::BodyTooSlow) => {
            case.setting("limits.body_rate", Some(format!("\"{}/s\"", show_size(connections.body.rate))))
        }
        Some(Reason::NotOpenedInTime) => {
            case.setting("limits.handshake_timeout", quoted(connections.handshake_timeout))
        }
        _ => case.setting("limits.head_timeout", quoted(connections.head_timeout)),
    };
    let remedy = text! {
        en: "find out what is slow between the caller and the gate; raise the limit for honest slow callers only",
        fr: "cherchez ce qui est lent entre l'appelant et la passerelle ; n'augmentez la limite que pour des appelants \
             honnêtes"
    };
    case.explanation(rule, setting, vec![remedy])
}

fn too_large(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "size: requests are held to a size; can be neither shadowed nor switched off",
        fr: "taille : les requêtes ont une taille maximale ; ni observable ni désactivable"
    };
    let limits = &case.settings.snapshot.limits;
    let quoted = |size| Some(format!("\"{}\"", show_size(size)));
    let bytes = |size: usize| quoted(size as u64);
    let setting = match (case.refusal.code, case.reason()) {
        (DenyCode::BodyTooLarge, _) => case.setting("limits.body_bytes", quoted(limits.body)),
        (_, Some(Reason::TooManyFields)) => case.setting("limits.fields", Some(limits.head.fields.to_string())),
        (DenyCode::UriTooLong, Some(Reason::TargetTooLong) | None) => {
            case.setting("limits.uri_bytes", bytes(limits.head.uri))
        }
        _ => case.setting("limits.head_bytes", bytes(limits.head.bytes)),
    };
    let remedy = text! {
        en: "raise this limit if such requests are right, or let the caller send less at a time",
        fr: "augmentez cette limite si de telles requêtes sont normales, ou faites envoyer moins à la fois"
    };
    case.explanation(rule, setting, vec![remedy])
}

fn login_throttled(case: &Case<'_>) -> Explanation {
    let quotas = &case.settings.snapshot.budgets.logins;
    let rule = text! {
        en: "login shield: logins that 8sens refused count, those that succeed never do; whoever logged in with \
             success within seven days, with the same key from the same address, has a quota of its own",
        fr: "protection des connexions : celles que 8sens a refusées comptent, celles qui réussissent jamais ; qui \
             s'est connecté avec succès dans les sept jours, avec la même clé depuis la même adresse, a son propre \
             quota"
    };
    let (key, quota) = match case.reason() {
        Some(Reason::LoginAddressFailed) => ("failed_logins_per_address", quotas.address),
        Some(Reason::LoginKeyFailed) => ("failed_logins_per_key", quotas.key),
        Some(Reason::LoginsFailed) => ("failed_logins", quotas.total),
        Some(Reason::KnownLoginsFailed) => ("failed_logins_of_known", quotas.known),
        _ => ("failed_logins_per_name", quotas.name),
    };
    let setting = case.setting(format!("limits.{key}"), Some(format!("\"{quota}\"")));
    let password = text! {
        en: "compare login and password with those in 8sens, then wait as long as Retry-After says",
        fr: "comparez l'identifiant et le mot de passe avec ceux de 8sens, puis attendez aussi longtemps que le dit \
             Retry-After"
    };
    let key = text! {
        en: "if it is an attack, the access log names key and address: rotate that key, or set allow_from",
        fr: "s'il s'agit d'une attaque, le journal des accès donne la clé et l'adresse : renouvelez cette clé, ou \
             réglez allow_from"
    };
    let remedies = match case.reason() {
        Some(Reason::KnownLoginsFailed) => vec![password],
        _ => vec![password, key],
    };
    case.explanation(rule, setting, remedies)
}

fn rate_limited(case: &Case<'_>) -> Explanation {
    let budgets = &case.settings.snapshot.budgets;
    let wait = text! {
        en: "wait as long as Retry-After says: then one request passes",
        fr: "attendre aussi longtemps que le dit Retry-After : une requête passe alors"
    };
    let budget = text! {
        en: "budget: only refused requests count; a good one never does",
        fr: "budget : seules les requêtes refusées comptent ; une bonne, jamais"
    };
    let cause = text! {
        en: "fix what is refused before that: `sensgate explain` shows each of them",
        fr: "corrigez ce qui est refusé avant cela : `sensgate explain` montre chaque refus"
    };
    let quoted = |quota: &crate::domain::limit::Quota| Some(format!("\"{quota}\""));
    match case.reason() {
        Some(Reason::AddressExhausted) => {
            case.explanation(budget, case.setting("limits.address_budget", quoted(&budgets.address)), vec![cause, wait])
        }
        Some(Reason::CredentialsExhausted) => {
            let setting = case.setting("limits.failed_credentials", quoted(&budgets.failed_credentials));
            let good = text! { en: "a good key passes at once", fr: "une bonne clé passe tout de suite" };
            case.explanation(budget, setting, vec![good, wait])
        }
        Some(Reason::TokensExhausted) => {
            let setting = case.setting("limits.failed_tokens", quoted(&budgets.failed_tokens));
            let good = text! { en: "a good token passes at once", fr: "un bon jeton passe tout de suite" };
            case.explanation(budget, setting, vec![good, wait])
        }
        reason => {
            let rule = text! {
                en: "quota: each consumer has its share, of everything and of some routes",
                fr: "quota : chaque consommateur a sa part, du tout et de certaines routes"
            };
            let raise = text! {
                en: "raise the rate or its burst, if 8sens can bear it",
                fr: "augmentez le débit ou sa rafale, si 8sens le supporte"
            };
            let of_route = || {
                let limits = &case.consumer()?.route_limits;
                let (method, path) = (case.refusal.method.as_bytes(), case.refusal.path.as_bytes());
                let index = limits.iter().position(|(rule, _)| rule.covers_any_spelling(method, path))?;
                let (rule, quota) = &limits[index];
                case.consumer_setting(&format!("route_limits.{index}"), Some(format!("\"{quota}\" for \"{rule}\"")))
            };
            let of_consumer = || {
                let value = case.consumer().and_then(|consumer| quoted(consumer.rate_limit.as_ref()?));
                case.consumer_setting("rate_limit", value)
            };
            let setting = if reason == Some(Reason::OverRouteQuota) { of_route() } else { None };
            case.explanation(rule, setting.or_else(of_consumer), vec![wait, raise, shadow()])
        }
    }
}

fn too_many_connections(case: &Case<'_>) -> Explanation {
    let rule = text! {
        en: "connections: so many at a time, in all and from one address",
        fr: "connexions : un nombre limité à la fois, en tout et depuis une même adresse"
    };
    let connections = &case.settings.connections;
    let (setting, remedy) = if case.reason() == Some(Reason::TooManyOfAddress) {
        (
            case.setting("limits.connections_per_address", Some(connections.max_per_address.to_string())),
            text! {
                en: "if this is a proxy of yours, name it in `trusted_proxies` of [client_ip]; else let the caller \
                     reuse connections",
                fr: "si c'est l'un de vos proxys, nommez-le dans `trusted_proxies` de [client_ip] ; sinon, faites \
                     réutiliser ses connexions à l'appelant"
            },
        )
    } else {
        (
            case.setting("limits.connections", Some(connections.max.to_string())),
            text! {
                en: "raise it, and the limit of open files with it; `sensgate status` shows how many are open",
                fr: "augmentez-la, et la limite de fichiers ouverts avec elle ; `sensgate status` montre combien sont \
                     ouvertes"
            },
        )
    };
    case.explanation(rule, setting, vec![remedy])
}

fn upstream(case: &Case<'_>) -> Explanation {
    let upstream = &case.settings.upstream;
    let rule = text! {
        en: "8sens: no rule refused the request; 8sens did not do its part",
        fr: "8sens : aucune règle n'a refusé la requête ; 8sens n'a pas fait sa part"
    };
    let address = || Some(format!("\"{}:{}\"", upstream.host, upstream.port));
    let doctor = text! {
        en: "`sensgate doctor` looks at the way to 8sens: name, port, HTTP, key",
        fr: "`sensgate doctor` examine le chemin vers 8sens : nom, port, HTTP, clé"
    };
    let (setting, remedy) = match (case.refusal.code, case.reason()) {
        (DenyCode::UpstreamTimeout, Some(Reason::AnswerTooSlow)) => (
            case.setting("upstream.answer_timeout", Some(format!("\"{}\"", show_duration(upstream.answer_timeout)))),
            text! {
                en: "look at the 8sens client: what it began to answer should be there at once",
                fr: "regardez le poste 8sens : ce qu'il a commencé à répondre devrait être là aussitôt"
            },
        ),
        (DenyCode::UpstreamTimeout, _) => (
            case.setting("upstream.read_timeout", Some(format!("\"{}\"", show_duration(upstream.read_timeout)))),
            text! {
                en: "look at the 8sens client: it may be busy or waiting for a dialog; raise the timeout only for \
                     requests that honestly take longer",
                fr: "regardez le poste 8sens : il est peut-être occupé ou attend une réponse à un dialogue ; \
                     n'augmentez le délai que pour des requêtes réellement plus longues"
            },
        ),
        (DenyCode::UpstreamInvalidResponse, _) => (
            case.setting("upstream.address", address()),
            text! {
                en: "see whether the REST server of 8sens really answers at this address",
                fr: "vérifiez que c'est bien le serveur REST de 8sens qui répond à cette adresse"
            },
        ),
        (_, Some(Reason::ConnectTimeout)) => (
            case.setting("upstream.connect_timeout", Some(format!("\"{}\"", show_duration(upstream.connect_timeout)))),
            text! {
                en: "see whether the machine of 8sens is on, and whether a firewall drops the gate's connections",
                fr: "vérifiez que la machine de 8sens est allumée, et qu'aucun pare-feu n'écarte les connexions de la \
                     passerelle"
            },
        ),
        _ => (
            case.setting("upstream.address", address()),
            text! {
                en: "start the REST server in the 8sens client: it shows \"Serveur REST lancé\"",
                fr: "lancez le serveur REST dans le poste 8sens : il affiche « Serveur REST lancé »"
            },
        ),
    };
    case.explanation(rule, setting, vec![remedy, doctor])
}
