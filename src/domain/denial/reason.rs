//! What really happened, for the log, the caller and `explain`: one closed list.
//!
//! A [`DenyCode`] is what the caller's program reads; a reason is what a person needs beside it. Each is declared once,
//! with its code, the word that is in the access log, the sentence that the caller may read, and what an operator
//! reads in either language.

use super::DenyCode;

/// Declares every reason once: variant, code, word of the log, what the caller is told when it is more than the code
/// says, and the operator's sentence in both languages.
macro_rules! reasons {
    ($($variant:ident: $code:ident = $word:literal {
        $(detail: $detail:literal,)?
        en: $en:literal,
        fr: $fr:literal,
    })+) => {
        /// Why a request was refused, more closely than its code says. Closed: no reason is ever made from a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $en] $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code that it goes with.
            #[must_use]
            pub const fn code(self) -> DenyCode {
                match self { $(Self::$variant => DenyCode::$code,)+ }
            }

            /// The words of the access log, stable and in English.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What the caller's developer has to know, in one sentence that holds nothing of the request. `None` where
            /// the sentence of the code is all that a caller may learn.
            #[must_use]
            pub const fn detail(self) -> Option<&'static str> {
                match self { $(Self::$variant => optional!($($detail)?),)+ }
            }

            /// What an operator reads, in English.
            #[must_use]
            pub const fn english(self) -> &'static str {
                match self { $(Self::$variant => $en,)+ }
            }

            /// What an operator reads, in French.
            #[must_use]
            pub const fn french(self) -> &'static str {
                match self { $(Self::$variant => $fr,)+ }
            }
        }
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($some:literal) => {
        Some($some)
    };
}

reasons! {
    // Keys.
    KeyNotKnown: UnknownKey = "key not known" {
        en: "no consumer has this key",
        fr: "aucun consommateur n'a cette clé",
    }
    KeyRevokedOrForeign: UnknownKey = "well-formed key, but not known" {
        en: "the key is whole and was made by sensgate, but no consumer has it: revoked, or of another gate",
        fr: "la clé est entière et a été créée par sensgate, mais aucun consommateur ne l'a : révoquée, ou \
             d'une autre passerelle",
    }
    KeyDamaged: UnknownKey = "mistyped or truncated key" {
        en: "the key was made by sensgate and damaged on its way: cut short, or with a wrong character",
        fr: "la clé a été créée par sensgate puis abîmée en chemin : tronquée, ou avec un caractère faux",
    }
    KeyExpired: UnknownKey = "key expired" {
        en: "the key was good, its last day is over",
        fr: "la clé était bonne, son dernier jour est passé",
    }
    KeyDisabled: UnknownKey = "key disabled" {
        en: "the key is known and switched off",
        fr: "la clé est connue, mais désactivée",
    }
    QuotedKeyNotKnown: UnknownKey = "key not known, and in quotes" {
        detail: "The API key is not known here, or is no longer valid. It is in quotation marks; send it without \
                 them.",
        en: "no consumer has this key, which is in quotation marks",
        fr: "aucun consommateur n'a cette clé, qui est entre guillemets",
    }
    SeveralKeyFields: AmbiguousKey = "more than one key field" {
        en: "the request has more than one key field",
        fr: "la requête a plus d'un champ de clé",
    }
    KeysJoined: AmbiguousKey = "keys joined by a comma" {
        en: "the key holds a comma: something on the way has joined two fields",
        fr: "la clé contient une virgule : quelque chose en chemin a réuni deux champs",
    }
    KeyEmpty: MalformedRequest = "key is empty" {
        detail: "The api_key field is empty.",
        en: "the key field is empty",
        fr: "le champ de clé est vide",
    }
    KeyTooLong: MalformedRequest = "key is too long" {
        detail: "The API key is longer than 256 bytes.",
        en: "the key is longer than 256 bytes",
        fr: "la clé dépasse 256 octets",
    }
    KeyHasBlank: MalformedRequest = "key holds a blank" {
        detail: "The API key contains a space or a no-break space; copy it again without any.",
        en: "the key contains a space, a no-break space or another invisible character, as keys pasted from a \
             message do",
        fr: "la clé contient un blanc, une espace insécable ou un autre caractère invisible, comme une clé \
             collée depuis un message",
    }
    KeyInQuotes: MalformedRequest = "key stands in quotes" {
        detail: "The API key is in quotation marks; send it without them.",
        en: "the key is in quotation marks",
        fr: "la clé est entre guillemets",
    }
    KeyHasScheme: MalformedRequest = "key has a scheme before it" {
        detail: "The API key field holds the key alone, without a scheme such as Bearer before it.",
        en: "the word Bearer or another scheme comes before the key",
        fr: "le mot Bearer ou un autre schéma précède la clé",
    }
    KeyNotVisible: MalformedRequest = "key is not visible ASCII" {
        detail: "The API key holds a character that is not visible ASCII.",
        en: "the key holds a character that is not visible ASCII",
        fr: "la clé contient un caractère qui n'est pas de l'ASCII visible",
    }
    Preflight: MissingKey = "preflight of a browser" {
        detail: "This is the preflight of a web page (CORS). A key in a page is public: call the gate from a server.",
        en: "a browser asked whether a web page may call the gate; a page must not hold a key of the ERP",
        fr: "un navigateur a demandé si une page web peut appeler la passerelle ; une page ne doit pas détenir de clé \
             de l'ERP",
    }
    KeyInQuery: KeyInUrl = "key in the query" {
        en: "a key is in the URL",
        fr: "une clé figure dans l'URL",
    }
    KeyInCookie: KeyInUrl = "key in a cookie" {
        en: "a key is in a cookie",
        fr: "une clé figure dans un cookie",
    }
    TooManyCookies: MalformedRequest = "too many Cookie fields" {
        detail: "There are more than 8 Cookie fields.",
        en: "there are more than 8 Cookie fields",
        fr: "il y a plus de 8 champs Cookie",
    }
    // Tokens and sessions.
    SeveralTokens: AmbiguousToken = "more than one token" {
        en: "the request has more than one access token",
        fr: "la requête a plus d'un jeton d'accès",
    }
    SeveralAuthorizations: AmbiguousToken = "more than one Authorization field" {
        en: "the request has more than one Authorization field",
        fr: "la requête a plus d'un champ Authorization",
    }
    TokensJoined: AmbiguousToken = "tokens joined by a comma" {
        en: "the token holds a comma: something on the way has joined two fields",
        fr: "le jeton contient une virgule : quelque chose en chemin a réuni deux champs",
    }
    TokenEmpty: MalformedRequest = "token is empty" {
        detail: "The access token is empty; leave its field out where there is none yet.",
        en: "the access token is empty",
        fr: "le jeton d'accès est vide",
    }
    TokenTooLong: MalformedRequest = "token is too long" {
        detail: "The access token is longer than 4096 bytes.",
        en: "the access token is longer than 4096 bytes",
        fr: "le jeton d'accès dépasse 4096 octets",
    }
    TokenHasBlank: MalformedRequest = "token holds a blank" {
        detail: "The access token contains a space or a no-break space; send it as the login answered it.",
        en: "the access token contains a space, a no-break space or another invisible character",
        fr: "le jeton d'accès contient un blanc, une espace insécable ou un autre caractère invisible",
    }
    TokenInQuotes: MalformedRequest = "token stands in quotes" {
        detail: "The access token is in quotation marks; send it without them.",
        en: "the access token is in quotation marks",
        fr: "le jeton d'accès est entre guillemets",
    }
    TokenHasScheme: MalformedRequest = "token has a scheme before it" {
        detail: "The field holds the access token alone; only Authorization has a scheme such as Bearer before it.",
        en: "the word Bearer or another scheme comes before the access token",
        fr: "le mot Bearer ou un autre schéma précède le jeton d'accès",
    }
    TokenNotVisible: MalformedRequest = "token is not visible ASCII" {
        detail: "The access token holds a character that is not visible ASCII.",
        en: "the access token holds a character that is not visible ASCII",
        fr: "le jeton d'accès contient un caractère qui n'est pas de l'ASCII visible",
    }
    TokenNotEncoded: MalformedRequest = "token in the query is not strictly encoded" {
        detail: "The value of access_token in the query contains a character that has to be percent-encoded, or a % \
                 that encodes nothing (RFC 3986 section 3.4).",
        en: "the access token in the query contains a character that has to be %-encoded, or a stray %",
        fr: "le jeton d'accès de l'URL contient un caractère à encoder avec %, ou un % isolé",
    }
    TokenNameDivided: MalformedRequest = "encoded separator in the name of a token" {
        detail: "The name of a query parameter contains an encoded = & or ; beside the name of the access token.",
        en: "the name of a query parameter reads as several, one of them access_token",
        fr: "le nom d'un paramètre d'URL se lit comme plusieurs, dont access_token",
    }
    NoToken: SessionMissing = "no token" {
        en: "the request shows no access token",
        fr: "la requête ne présente pas de jeton d'accès",
    }
    ConsumerLeaving: SessionUnknown = "the consumer is leaving" {
        en: "the consumer was being taken out of the configuration",
        fr: "le consommateur était en train d'être retiré de la configuration",
    }
    TokenIdle: SessionExpired = "idle for too long" {
        en: "the access token was not used for longer than 8sens keeps it",
        fr: "le jeton d'accès est resté inutilisé plus longtemps que 8sens ne le garde",
    }
    TokenOfAnother: SessionNotYours = "issued to another consumer" {
        en: "the access token was handed to another consumer",
        fr: "le jeton d'accès a été remis à un autre consommateur",
    }
    TokenForeign: SessionUnknown = "never handed out here" {
        en: "the access token never came out of a login through this gate",
        fr: "le jeton d'accès n'est jamais sorti d'une connexion passée par cette passerelle",
    }
    // What may have changed while a request waited.
    KeyRevokedWhileWaiting: UnknownKey = "key revoked while the request waited" {
        en: "the key was revoked, or its consumer removed, while the request waited",
        fr: "la clé a été révoquée, ou son consommateur retiré, pendant que la requête attendait",
    }
    SessionEndedWhileWaiting: SessionUnknown = "session ended while the request waited" {
        en: "the session was ended while the request waited",
        fr: "la session a pris fin pendant que la requête attendait",
    }
    WaitedTooLong: RequestTimeout = "waited too long to be forwarded" {
        en: "the request waited for longer than requests may before they go to 8sens",
        fr: "la requête a attendu plus longtemps que permis avant d'être transmise à 8sens",
    }
    GateStops: UpstreamUnreachable = "gate stopped while the request waited" {
        en: "the gate was stopped while the request waited; nothing went to 8sens",
        fr: "la passerelle a été arrêtée pendant que la requête attendait ; rien n'est parti vers 8sens",
    }
    NothingAwaited: RequestTimeout = "resumed although it waited for nothing" {
        en: "the gate lost track of a request, which was not forwarded: a fault of the gate",
        fr: "la passerelle a perdu la trace d'une requête, qui n'a pas été transmise : un défaut de la passerelle",
    }
    // Routes, addresses, transport.
    DeniedByRule: ForbiddenRoute = "matches a deny rule" {
        en: "method and path match a deny rule",
        fr: "la méthode et le chemin correspondent à une règle deny",
    }
    LoginSpelling: ForbiddenRoute = "login in another spelling" {
        detail: "The path differs from that of the login in nothing but its spelling: case, an encoded slash, or a dot \
                 or slash at an end. Use the path of the login.",
        en: "the path differs from that of a login route in spelling alone: 8sens might take it for the login, and the \
             gate would not see the token",
        fr: "le chemin ne diffère de celui d'une route de connexion que par l'écriture : 8sens pourrait y voir la \
             connexion, et la passerelle ne verrait pas le jeton",
    }
    NoAllowRule: ForbiddenRoute = "matches no allow rule" {
        en: "method and path match no allow rule",
        fr: "la méthode et le chemin ne correspondent à aucune règle allow",
    }
    OutsideAllowFrom: ForbiddenAddress = "client outside allow_from" {
        en: "the client's address is in none of the consumer's networks",
        fr: "l'adresse du client n'est dans aucun des réseaux du consommateur",
    }
    PlaintextForTls: InsecureTransport = "plaintext where TLS is needed" {
        en: "the request came in clear",
        fr: "la requête est arrivée en clair",
    }
    PublicOnLan: InsecureTransport = "public source on a lan listener" {
        en: "a public address called a listener for private ones",
        fr: "une adresse publique a appelé un point d'écoute réservé aux adresses privées",
    }
    PeerNotTrusted: InsecureTransport = "peer is not a trusted proxy" {
        en: "a listener behind a proxy was called by something else",
        fr: "un point d'écoute placé derrière un proxy a été appelé par autre chose",
    }
    ProxyWithoutHttps: InsecureTransport = "trusted proxy does not say https" {
        en: "the proxy in front does not say that its own caller used https",
        fr: "le proxy placé devant ne dit pas que son propre appelant utilisait https",
    }
    // Quotas and budgets.
    AddressExhausted: RateLimited = "too many refusals for this address" {
        en: "too many requests of this address were refused lately",
        fr: "trop de requêtes de cette adresse ont été refusées ces derniers temps",
    }
    CredentialsExhausted: RateLimited = "too many wrong keys from this address" {
        en: "too many wrong keys came from this address lately",
        fr: "trop de mauvaises clés sont venues de cette adresse ces derniers temps",
    }
    TokensExhausted: RateLimited = "too many tokens of this consumer were refused" {
        en: "too many access tokens of this consumer were refused lately",
        fr: "trop de jetons d'accès de ce consommateur ont été refusés ces derniers temps",
    }
    OverRouteQuota: RateLimited = "over the quota of the route" {
        en: "the consumer has used up what it may ask of these routes",
        fr: "le consommateur a épuisé ce qu'il peut demander à ces routes",
    }
    OverConsumerQuota: RateLimited = "over the quota of the consumer" {
        en: "the consumer has used up its quota",
        fr: "le consommateur a épuisé son quota",
    }
    // The request line.
    Connect: MethodNotAllowed = "CONNECT" {
        en: "CONNECT asks for a tunnel, and the gate makes none",
        fr: "CONNECT demande un tunnel, et la passerelle n'en fait pas",
    }
    TargetStar: MethodNotAllowed = "target is *" {
        en: "the request asks about the server as a whole",
        fr: "la requête porte sur le serveur entier",
    }
    EmptyLine: MalformedRequest = "empty line before the request" {
        detail: "More than one empty line precedes the request line.",
        en: "an empty line precedes the request",
        fr: "une ligne vide précède la requête",
    }
    RequestLine: MalformedRequest = "request line is not method, target and version" {
        detail: "The request line is not a method, a target and HTTP/1.1 with one space between them (RFC 9112 \
             section 3).",
        en: "the request line is not a method, a target and a version with one space between them",
        fr: "la ligne de requête n'est pas une méthode, une cible et une version séparées par une espace",
    }
    MethodByte: MalformedRequest = "method is not a token" {
        detail: "The method holds a character that no method may have (RFC 9110 section 9.1).",
        en: "the method holds a character that no method may have",
        fr: "la méthode contient un caractère interdit",
    }
    TargetByte: MalformedRequest = "byte in the target that has to be encoded" {
        detail: "A character of the target has to be percent-encoded (RFC 9112 section 3.2).",
        en: "the target holds a byte that has to be %-encoded",
        fr: "la cible contient un octet à encoder avec %",
    }
    AuthorityNotHost: MalformedRequest = "authority of the target is not the Host" {
        detail: "The target names another host than the Host field (RFC 9112 section 3.2.2).",
        en: "the target names another host than the Host field",
        fr: "la cible nomme un autre hôte que le champ Host",
    }
    PathNotAbsolute: MalformedRequest = "path does not begin with a slash" {
        detail: "The target is not a path that begins with a slash (RFC 9112 section 3.2).",
        en: "the target is not a path that begins with a slash",
        fr: "la cible n'est pas un chemin qui commence par une barre oblique",
    }
    PathEmptySegment: MalformedRequest = "empty segment in the path" {
        detail: "The path contains two slashes in a row.",
        en: "the path contains two slashes in a row",
        fr: "le chemin contient deux barres obliques de suite",
    }
    PathDotSegment: MalformedRequest = "dot segment in the path" {
        detail: "A segment of the path is . or .. (RFC 3986 section 3.3).",
        en: "a segment of the path is . or .., or nothing that can be seen",
        fr: "un segment du chemin est . ou .., ou rien de visible",
    }
    PathByte: MalformedRequest = "byte in the path that has to be encoded" {
        detail: "A character of the path has to be percent-encoded (RFC 3986 section 3.3).",
        en: "the path contains a byte that has to be %-encoded",
        fr: "le chemin contient un octet à encoder avec %",
    }
    PathBadEscape: MalformedRequest = "% in the path that encodes nothing" {
        detail: "A % in the path is not followed by two hexadecimal digits (RFC 3986 section 2.1).",
        en: "a % in the path is not followed by two hexadecimal digits",
        fr: "un % du chemin n'est pas suivi de deux chiffres hexadécimaux",
    }
    PathBackslash: MalformedRequest = "backslash in the path" {
        detail: "The path contains a backslash, as itself or as %5C; some servers read it as a slash.",
        en: "the path contains a backslash, as itself or as %5C",
        fr: "le chemin contient une barre oblique inverse, telle quelle ou sous la forme %5C",
    }
    PathParameter: MalformedRequest = "semicolon in the path" {
        detail: "The path contains a semicolon, as itself or as %3B; some servers cut the segment there.",
        en: "the path contains a semicolon, as itself or as %3B",
        fr: "le chemin contient un point-virgule, tel quel ou sous la forme %3B",
    }
    PathEncodedSlash: MalformedRequest = "encoded slash in the path" {
        detail: "The path contains %2F, which is accepted only on routes that the configuration of the gate names.",
        en: "the path contains %2F, and no rule says that 8sens takes it for a part of a name there",
        fr: "le chemin contient %2F, et aucune règle ne dit que 8sens y voit une partie d'un nom",
    }
    PathEncodedDot: MalformedRequest = "encoded dot in the path" {
        detail: "The path contains %2E; write the dot as itself.",
        en: "the path contains %2E",
        fr: "le chemin contient %2E",
    }
    PathEncodedPercent: MalformedRequest = "encoded percent sign in the path" {
        detail: "The path contains %25; programs that decode a path twice would read something else.",
        en: "the path contains %25, which some programs decode twice",
        fr: "le chemin contient %25, que certains programmes décodent deux fois",
    }
    PathEncodedEnd: MalformedRequest = "encoded ? or # in the path" {
        detail: "The path contains %3F or %23; some servers end the path there.",
        en: "the path contains %3F or %23, where some servers end it",
        fr: "le chemin contient %3F ou %23, où certains serveurs le terminent",
    }
    PathControl: MalformedRequest = "encoded control byte in the path" {
        detail: "The path contains an encoded control character.",
        en: "the path contains an encoded control character",
        fr: "le chemin contient un caractère de contrôle encodé",
    }
    PathNotUtf8: MalformedRequest = "path is not UTF-8" {
        detail: "The percent-encoded bytes of the path are not UTF-8 (RFC 3986 section 2.5).",
        en: "the percent-encoded bytes of the path are not UTF-8",
        fr: "les octets encodés du chemin ne sont pas de l'UTF-8",
    }
    PathLookalike: MalformedRequest = "character in the path that reads as structure" {
        detail: "The path contains a character that some systems turn into a slash, a dot, a space or the like.",
        en: "the path contains a character that some systems turn into a slash, a dot or a space, such as a \
             full-width form, an ellipsis or a no-break space",
        fr: "le chemin contient un caractère que certains systèmes changent en barre oblique, en point ou en \
             espace, comme une forme pleine chasse, des points de suspension ou une espace insécable",
    }
    PathBlank: MalformedRequest = "blank at the edge of a path segment" {
        detail: "A segment of the path begins or ends with a space, which some systems drop.",
        en: "a segment of the path begins or ends with a space",
        fr: "un segment du chemin commence ou finit par une espace",
    }
    QueryByte: MalformedRequest = "byte in the query that has to be encoded" {
        detail: "The query contains a control character, a space or #, which have to be percent-encoded, or %00.",
        en: "the query contains a control character, a space, # or %00",
        fr: "la partie après « ? » contient un caractère de contrôle, une espace, # ou %00",
    }
    NotHttp1: HttpVersion = "not a version of HTTP/1" {
        en: "the request line names a version that is none of HTTP/1",
        fr: "la ligne de requête nomme une version qui n'est pas de HTTP/1",
    }
    Http10: HttpVersion = "HTTP/1.0" {
        en: "the caller speaks HTTP/1.0",
        fr: "l'appelant parle HTTP/1.0",
    }
    // The fields of the head.
    BareLf: MalformedRequest = "bare LF" {
        detail: "A line feed has no carriage return before it; lines end in CR LF (RFC 9112 section 2.2).",
        en: "a line of the head does not end in CR LF",
        fr: "une ligne de l'en-tête ne finit pas par CR LF",
    }
    BareCr: MalformedRequest = "bare CR" {
        detail: "A carriage return has no line feed after it; lines end in CR LF (RFC 9112 section 2.2).",
        en: "a line of the head does not end in CR LF",
        fr: "une ligne de l'en-tête ne finit pas par CR LF",
    }
    Nul: MalformedRequest = "NUL" {
        detail: "A NUL byte has no place in a head (RFC 9110 section 5.5).",
        en: "the head holds a NUL byte",
        fr: "l'en-tête contient un octet nul",
    }
    FoldedField: MalformedRequest = "field folded over two lines" {
        detail: "A header field goes on in a second line, which is obsolete (RFC 9112 section 5.2).",
        en: "a header field goes on in a second line",
        fr: "un champ d'en-tête continue sur une seconde ligne",
    }
    FieldWithoutColon: MalformedRequest = "field without a colon" {
        detail: "A line of the head has no colon (RFC 9112 section 5).",
        en: "a line of the head has no colon",
        fr: "une ligne de l'en-tête n'a pas de deux-points",
    }
    BlankBeforeColon: MalformedRequest = "blank before the colon" {
        detail: "There is a space between a field name and its colon (RFC 9112 section 5.1).",
        en: "there is a space between a field name and its colon",
        fr: "un blanc sépare un nom de champ de ses deux-points",
    }
    FieldNameByte: MalformedRequest = "field name is not a token" {
        detail: "A field name is empty or holds a character that no name may have (RFC 9110 section 5.1).",
        en: "a field name is empty or holds a character that no name may have",
        fr: "un nom de champ est vide ou contient un caractère interdit",
    }
    ControlInField: MalformedRequest = "control byte in a field value" {
        detail: "A field value holds a control character (RFC 9110 section 5.5).",
        en: "a header field holds a control character",
        fr: "un champ d'en-tête contient un caractère de contrôle",
    }
    HeadNotParsed: MalformedRequest = "request head cannot be parsed" {
        detail: "The bytes are not an HTTP/1.1 request head (RFC 9112 section 2.1).",
        en: "this is no HTTP request",
        fr: "ceci n'est pas une requête HTTP",
    }
    HostNotAHost: MalformedRequest = "Host is not a host" {
        detail: "The Host field is not a host with an optional port (RFC 9110 section 7.2).",
        en: "the Host field names no host",
        fr: "le champ Host ne nomme pas un hôte",
    }
    HostMissing: MalformedRequest = "Host is missing" {
        detail: "The Host field is missing (RFC 9112 section 3.2).",
        en: "the Host field is missing",
        fr: "le champ Host manque",
    }
    SeveralHosts: MalformedRequest = "more than one Host" {
        detail: "There is more than one Host field (RFC 9112 section 3.2).",
        en: "there is more than one Host field",
        fr: "il y a plus d'un champ Host",
    }
    SeveralLengths: MalformedRequest = "more than one Content-Length" {
        detail: "There is more than one Content-Length field (RFC 9112 section 6.3).",
        en: "there is more than one Content-Length",
        fr: "il y a plus d'un Content-Length",
    }
    LengthNotANumber: MalformedRequest = "Content-Length is not a number" {
        detail: "The Content-Length field is not a decimal number of bytes (RFC 9110 section 8.6).",
        en: "Content-Length is not a number",
        fr: "Content-Length n'est pas un nombre",
    }
    LastCodingNotChunked: MalformedRequest = "last transfer coding is not chunked" {
        detail: "The last transfer coding is not chunked, so nobody can tell where the body ends (RFC 9112 \
             section 6.3).",
        en: "the last transfer coding is not chunked: nobody can tell where the body ends",
        fr: "le dernier codage de transfert n'est pas chunked : nul ne peut dire où finit le corps",
    }
    ChunkedTwice: MalformedRequest = "chunked more than once" {
        detail: "The transfer coding chunked is named more than once (RFC 9112 section 6.1).",
        en: "the transfer coding chunked is named more than once",
        fr: "le codage de transfert chunked est nommé plus d'une fois",
    }
    LengthAndCoding: MalformedRequest = "Content-Length beside Transfer-Encoding" {
        detail: "Content-Length and Transfer-Encoding contradict each other (RFC 9112 section 6.3).",
        en: "Content-Length and Transfer-Encoding contradict each other",
        fr: "Content-Length et Transfer-Encoding se contredisent",
    }
    ConnectionNamesField: MalformedRequest = "Connection names a field" {
        detail: "The Connection field names a field that the gate or 8sens needs (RFC 9110 section 7.6.1).",
        en: "the Connection field names a field that decides about the request, and would have it removed",
        fr: "le champ Connection nomme un champ qui décide de la requête, et le ferait supprimer",
    }
    ConnectionOption: MalformedRequest = "connection option is not a token" {
        detail: "The Connection field holds something that is not an option, such as quotes or a parameter (RFC \
             9110 section 7.6.1).",
        en: "the Connection field holds something that is no option of a connection",
        fr: "le champ Connection contient autre chose que des options de connexion",
    }
    TooManyConnectionFields: MalformedRequest = "too many Connection fields" {
        detail: "There are more than 16 Connection fields.",
        en: "there are more than 16 Connection fields",
        fr: "il y a plus de 16 champs Connection",
    }
    ExpectUnknown: ExpectationFailed = "Expect is not 100-continue" {
        en: "the Expect field says something else than one 100-continue",
        fr: "le champ Expect dit autre chose qu'un seul 100-continue",
    }
    TargetTooLong: UriTooLong = "target longer than its limit" {
        en: "path and query are too long",
        fr: "le chemin et sa suite sont trop longs",
    }
    RequestLineTooLong: UriTooLong = "request line longer than a head may be" {
        en: "the request line alone is longer than a head may be",
        fr: "la ligne de requête dépasse à elle seule la taille permise à un en-tête",
    }
    HeadTooLarge: HeadersTooLarge = "head larger than its limit" {
        en: "request line and fields together are too large",
        fr: "la ligne de requête et les champs dépassent ensemble la limite",
    }
    TooManyFields: HeadersTooLarge = "too many fields" {
        en: "there are too many header fields",
        fr: "il y a trop de champs d'en-tête",
    }
    // The body.
    LengthOverLimit: BodyTooLarge = "Content-Length over the limit" {
        en: "the announced body is larger than allowed",
        fr: "le corps annoncé dépasse la taille permise",
    }
    BodyGrew: BodyTooLarge = "body grew over the limit" {
        en: "the body grew larger than allowed",
        fr: "le corps a dépassé la taille permise",
    }
    BadChunk: MalformedRequest = "chunked body is not well-formed" {
        detail: "The chunked body does not follow RFC 9112 section 7.1.",
        en: "the chunked body is not well-formed",
        fr: "le corps en morceaux (chunked) est mal formé",
    }
    // Logins.
    SeveralLoginNames: MalformedRequest = "more than one login name" {
        detail: "The request holds more than one login name; send one.",
        en: "the login holds more than one name, in its body or its query",
        fr: "la connexion contient plus d'un identifiant, dans son corps ou ses paramètres",
    }
    LoginBodyTooLong: BodyTooLarge = "login longer than 64 KiB" {
        detail: "The body of a login is at most 64 KiB.",
        en: "the body of the login is longer than 64 KiB",
        fr: "le corps de la connexion dépasse 64 Kio",
    }
    LoginNameFailed: LoginThrottled = "too many failed logins of this name" {
        en: "too many logins of this login name have failed, whoever tried",
        fr: "trop de connexions de cet identifiant ont échoué, d'où qu'elles viennent",
    }
    LoginAddressFailed: LoginThrottled = "too many failed logins from this address" {
        en: "too many logins from this address have failed",
        fr: "trop de connexions venues de cette adresse ont échoué",
    }
    LoginKeyFailed: LoginThrottled = "too many failed logins with this key" {
        en: "too many logins with this key have failed",
        fr: "trop de connexions faites avec cette clé ont échoué",
    }
    LoginsFailed: LoginThrottled = "too many failed logins in all" {
        en: "too many logins have failed, from everybody together",
        fr: "trop de connexions ont échoué, tous appelants réunis",
    }
    KnownLoginsFailed: LoginThrottled = "too many failed logins of a known caller" {
        en: "this key and address logged in with success lately, but too many of its logins have failed since",
        fr: "cette clé et cette adresse se sont connectées avec succès récemment, mais trop de leurs connexions ont \
             échoué depuis",
    }
    // Connections.
    NoProxyHeader: MalformedRequest = "no PROXY header from a proxy" {
        detail: "The connection does not begin with a PROXY header.",
        en: "a proxy that has to begin with a PROXY header did not",
        fr: "un proxy qui doit commencer par un en-tête PROXY ne l'a pas fait",
    }
    TlsHandshake: InsecureTransport = "TLS handshake failed" {
        en: "the TLS handshake failed",
        fr: "la négociation TLS a échoué",
    }
    TlsClosed: InsecureTransport = "closed before the TLS handshake" {
        en: "the caller left before the TLS handshake",
        fr: "l'appelant est parti avant la négociation TLS",
    }
    NotOpenedInTime: RequestTimeout = "connection not opened in time" {
        en: "PROXY header and TLS handshake took too long",
        fr: "l'en-tête PROXY et la négociation TLS ont pris trop de temps",
    }
    EndedInHead: MalformedRequest = "connection ended within the head" {
        detail: "The connection ended within the request head.",
        en: "the caller left in the middle of its request head",
        fr: "l'appelant est parti au milieu de son en-tête",
    }
    Silent: RequestTimeout = "nothing was sent in time" {
        en: "the caller connected and sent nothing",
        fr: "l'appelant s'est connecté et n'a rien envoyé",
    }
    HeadTooSlow: RequestTimeout = "head not complete in time" {
        en: "the request head took too long",
        fr: "l'en-tête a mis trop de temps à arriver",
    }
    BodySilent: RequestTimeout = "body not complete in time" {
        en: "the request body fell silent",
        fr: "le corps de la requête s'est interrompu trop longtemps",
    }
    BodyTooSlow: RequestTimeout = "body comes too slowly" {
        en: "the request body came too slowly",
        fr: "le corps de la requête arrivait trop lentement",
    }
    TooManyOfAddress: TooManyConnections = "too many from one address" {
        en: "this address has as many connections as one address may",
        fr: "cette adresse a autant de connexions qu'une seule peut en avoir",
    }
    Http2Flood: MalformedRequest = "more HTTP/2 frames than requests need" {
        detail: "The connection sent more HTTP/2 frames than its requests need.",
        en: "the connection sent far more HTTP/2 frames than its requests need",
        fr: "la connexion a envoyé bien plus de trames HTTP/2 que ses requêtes n'en demandent",
    }
    Http2Broken: MalformedRequest = "HTTP/2 connection error" {
        detail: "The connection does not follow HTTP/2 (RFC 9113).",
        en: "the caller broke a rule of HTTP/2 that ends the whole connection",
        fr: "l'appelant a enfreint une règle de HTTP/2 qui met fin à la connexion entière",
    }
    Http2Target: MalformedRequest = "target" {
        detail: "The :path is not a target in origin-form (RFC 9113 section 8.3.1).",
        en: "the :path of an HTTP/2 request is no target",
        fr: "le :path d'une requête HTTP/2 n'est pas une cible",
    }
    Http2Authority: MalformedRequest = "authority" {
        detail: "The :authority is not a host with an optional port (RFC 9113 section 8.3.1).",
        en: "the :authority of an HTTP/2 request is no host",
        fr: "le :authority d'une requête HTTP/2 n'est pas un hôte",
    }
    Http2PseudoMissing: MalformedRequest = "pseudo-header field missing" {
        detail: ":method, :scheme or :path is missing (RFC 9113 section 8.3.1).",
        en: "an HTTP/2 request has no :method, no :scheme or no :path",
        fr: "une requête HTTP/2 n'a pas de :method, de :scheme ou de :path",
    }
    Http2PseudoRepeated: MalformedRequest = "pseudo-header field repeated" {
        detail: "A pseudo-header field is there more than once (RFC 9113 section 8.3).",
        en: "an HTTP/2 request has a pseudo-header field more than once",
        fr: "une requête HTTP/2 a plusieurs fois le même pseudo-champ",
    }
    Http2PseudoUnknown: MalformedRequest = "pseudo-header field of no request" {
        detail: "A pseudo-header field is none of :method, :scheme, :authority and :path (RFC 9113 section 8.3).",
        en: "an HTTP/2 request has a pseudo-header field that requests do not have",
        fr: "une requête HTTP/2 a un pseudo-champ que les requêtes n'ont pas",
    }
    Http2PseudoLate: MalformedRequest = "pseudo-header field behind another field" {
        detail: "A pseudo-header field follows a field that is none (RFC 9113 section 8.3).",
        en: "a pseudo-header field of an HTTP/2 request follows an ordinary field",
        fr: "un pseudo-champ d'une requête HTTP/2 suit un champ ordinaire",
    }
    Http2UpperCase: MalformedRequest = "capitals in a field name" {
        detail: "A field name contains a capital letter, which HTTP/2 does not allow (RFC 9113 section 8.2.1).",
        en: "a field name of an HTTP/2 request contains a capital letter",
        fr: "un nom de champ d'une requête HTTP/2 contient une majuscule",
    }
    Http2ConnectionField: MalformedRequest = "field of a connection in HTTP/2" {
        detail: "Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade and TE other than trailers have \
                 no place in HTTP/2 (RFC 9113 section 8.2.2).",
        en: "an HTTP/2 request has a field that belongs to a connection of HTTP/1.1",
        fr: "une requête HTTP/2 a un champ propre à une connexion HTTP/1.1",
    }
    Http2Scheme: MalformedRequest = "scheme" {
        detail: "The :scheme is not the scheme of a URI (RFC 3986 section 3.1).",
        en: "the :scheme of an HTTP/2 request is no scheme",
        fr: "le :scheme d'une requête HTTP/2 n'est pas un schéma",
    }
    Http2Preface: MalformedRequest = "HTTP/2 preface is wrong" {
        detail: "The connection does not begin as HTTP/2 does (RFC 9113 section 3.4).",
        en: "the caller announced HTTP/2 and spoke something else",
        fr: "l'appelant a annoncé HTTP/2 et a parlé autre chose",
    }
    Http2Silent: RequestTimeout = "HTTP/2 preface not complete in time" {
        en: "the caller announced HTTP/2 and sent nothing",
        fr: "l'appelant a annoncé HTTP/2 et n'a rien envoyé",
    }
    // Sessions that the gate keeps.
    LoginUnreachable: LoginUnavailable = "8sens did not answer the login" {
        en: "the gate wanted to log in for this consumer, and 8sens could not be reached or did not answer",
        fr: "la passerelle a voulu se connecter pour ce consommateur, et 8sens était injoignable ou n'a pas répondu",
    }
    LoginRefused: LoginUnavailable = "8sens refused the login" {
        en: "8sens does not take the login of this consumer; the gate hardly tries any more, so that the account \
             is not locked",
        fr: "8sens refuse la connexion de ce consommateur ; la passerelle n'essaie presque plus, pour que le compte ne \
             soit pas bloqué",
    }
    LoginWithdrawn: LoginUnavailable = "login of the consumer was changed" {
        en: "a reload took the login of this consumer away while the request waited",
        fr: "un rechargement a retiré la connexion de ce consommateur pendant que la requête attendait",
    }
    // 8sens.
    UpstreamSilent: UpstreamTimeout = "8sens was silent for too long" {
        en: "8sens took the request and did not answer in time; a write may have been carried out",
        fr: "8sens a reçu la requête et n'a pas répondu à temps ; une écriture a pu être effectuée",
    }
    AnswerTooSlow: UpstreamTimeout = "head of 8sens's answer was not there in time" {
        en: "8sens took the request and began an answer whose head was not there in time; a write may have \
             been carried out",
        fr: "8sens a reçu la requête et commencé une réponse dont l'en-tête n'était pas là à temps ; une \
             écriture a pu être effectuée",
    }
    AnswerNotParsed: UpstreamInvalidResponse = "answer of 8sens cannot be parsed" {
        en: "what 8sens answered is no HTTP",
        fr: "ce que 8sens a répondu n'est pas du HTTP",
    }
    AnswerNotValid: UpstreamInvalidResponse = "answer of 8sens is not valid" {
        en: "what 8sens answered cannot be passed on safely",
        fr: "la réponse de 8sens ne peut pas être transmise sans risque",
    }
    UpstreamIssuer: UpstreamUnreachable = "certificate of 8sens is not from upstream.tls.ca" {
        en: "the certificate that 8sens shows was not issued by anybody in `upstream.tls.ca`",
        fr: "le certificat que présente 8sens n'a été émis par aucune autorité de `upstream.tls.ca`",
    }
    UpstreamName: UpstreamUnreachable = "certificate of 8sens does not name it" {
        en: "the certificate that 8sens shows is for another name than `upstream.tls.name`",
        fr: "le certificat que présente 8sens est pour un autre nom que `upstream.tls.name`",
    }
    UpstreamCertificateExpired: UpstreamUnreachable = "certificate of 8sens has expired" {
        en: "the certificate that 8sens shows has expired",
        fr: "le certificat que présente 8sens a expiré",
    }
    UpstreamCertificate: UpstreamUnreachable = "certificate of 8sens is not valid" {
        en: "the certificate that 8sens shows is not valid",
        fr: "le certificat que présente 8sens n'est pas valable",
    }
    UpstreamTls: UpstreamUnreachable = "TLS handshake with 8sens failed" {
        en: "there is no TLS at `upstream.address`, or none that the gate speaks",
        fr: "il n'y a pas de TLS à `upstream.address`, ou pas un que parle la passerelle",
    }
    ConnectTimeout: UpstreamUnreachable = "connect timed out" {
        en: "8sens's machine does not react",
        fr: "la machine de 8sens ne réagit pas",
    }
    NoConnection: UpstreamUnreachable = "no connection to 8sens" {
        en: "8sens takes no connections: its REST server is not running",
        fr: "8sens n'accepte pas de connexion : son serveur REST n'est pas lancé",
    }
    UpstreamClosed: UpstreamUnreachable = "8sens closed the connection without an answer" {
        en: "8sens closed the connection without an answer",
        fr: "8sens a fermé la connexion sans répondre",
    }
    NotResolved: UpstreamUnreachable = "name of 8sens not resolved yet" {
        en: "the name of 8sens's machine has never been resolved",
        fr: "le nom de la machine de 8sens n'a jamais été résolu",
    }
}

impl Reason {
    /// The reason that the log knows by these words.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_are_distinct_and_every_sentence_says_something() {
        let mut seen = HashSet::new();
        for reason in Reason::ALL {
            let word = reason.as_str();
            assert!(seen.insert(word), "{word} is declared twice");
            assert_eq!(Reason::from_word(word), Some(*reason));
            assert!(reason.english() != reason.french(), "{word}");
            assert!(reason.detail().is_none_or(|detail| detail.ends_with('.')), "{word}");
        }
    }

    /// A caller with a malformed request has to be told what to change; one with a wrong key must learn nothing more
    /// than that, but for what can be seen in the request alone.
    #[test]
    fn every_400_says_what_is_wrong_and_no_401_does() {
        for reason in Reason::ALL {
            match reason.code().status() {
                400 if reason.code() == DenyCode::MalformedRequest => assert!(reason.detail().is_some(), "{reason:?}"),
                401 if !matches!(reason, Reason::Preflight | Reason::QuotedKeyNotKnown) => {
                    assert!(reason.detail().is_none(), "{reason:?}")
                }
                _ => {}
            }
        }
    }
}
