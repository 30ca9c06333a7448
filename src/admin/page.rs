//! The live page: a few files that are part of the program.
//!
//! They hold no word about this gate, so they are served without a token; all that they show comes from `api`, which
//! asks for it. A browser that is sent to a page cannot send a token along, so the page asks for it itself.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};

/// One embedded file.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const ASSETS: &[Asset] = &[
    Asset { path: "/", content_type: "text/html; charset=utf-8", bytes: include_bytes!("page/index.html") },
    Asset { path: "/app.js", content_type: "text/javascript; charset=utf-8", bytes: include_bytes!("page/app.js") },
    Asset { path: "/words.js", content_type: "text/javascript; charset=utf-8", bytes: include_bytes!("page/words.js") },
    Asset { path: "/style.css", content_type: "text/css; charset=utf-8", bytes: include_bytes!("page/style.css") },
    // uPlot, https://github.com/leeoniya/uPlot, as published; its licence is served beside it.
    Asset { path: "/uplot.js", content_type: "text/javascript; charset=utf-8", bytes: include_bytes!("page/uplot.js") },
    Asset { path: "/uplot.css", content_type: "text/css; charset=utf-8", bytes: include_bytes!("page/uplot.css") },
    Asset {
        path: "/uplot.LICENSE",
        content_type: "text/plain; charset=utf-8",
        bytes: include_bytes!("page/uplot.LICENSE"),
    },
];

/// Nothing but these files and `api`, nothing inline, and no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// True for a file of the page: it is open to whoever may speak to the listener at all.
pub(super) fn is_asset(path: &str) -> bool {
    ASSETS.iter().any(|asset| asset.path == path)
}

pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| router.route(asset.path, get(async move || serve(asset))))
}

fn serve(asset: &Asset) -> Response {
    let fields = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    (StatusCode::OK, fields, asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use crate::domain::exchange::Alarm;
    use std::collections::{BTreeMap, BTreeSet};

    type Words = BTreeMap<String, String>;

    fn words() -> [Words; 2] {
        let source = include_str!("page/words.js");
        let json = source.trim().strip_prefix("const WORDS = ").and_then(|rest| rest.strip_suffix(';')).unwrap();
        let mut words: BTreeMap<String, Words> = serde_json::from_str(json).unwrap();
        [words.remove("en").unwrap(), words.remove("fr").unwrap()]
    }

    /// The names in braces.
    fn gaps(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
    }

    #[test]
    fn both_languages_have_the_same_words() {
        let [en, fr] = words();
        assert_eq!(en.keys().collect::<Vec<_>>(), fr.keys().collect::<Vec<_>>());
        for (name, text) in &en {
            assert!(!text.is_empty() && !fr[name].is_empty(), "{name}");
            assert_eq!(gaps(text), gaps(&fr[name]), "{name}");
        }
    }

    #[test]
    fn every_word_exists_and_is_used() {
        let [en, _] = words();
        let (html, script) = (include_str!("page/index.html"), include_str!("page/app.js"));
        let between = |text: &'static str, mark: &'static str| {
            text.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap()).collect::<BTreeSet<_>>()
        };
        let named: BTreeSet<_> =
            ["data-word=\"", "data-label=\""].into_iter().flat_map(|mark| between(html, mark)).collect();
        for name in named.iter().chain(&between(script, "word(\"")) {
            assert!(en.contains_key(*name), "{name}");
        }
        for alarm in Alarm::ALL {
            assert!(en.contains_key(&format!("alarm.{}", alarm.as_str())), "{alarm:?}");
        }
        for name in en.keys().filter(|name| !name.contains('.')) {
            let quoted = format!("\"{name}\"");
            // The mode is a word of the gate.
            let used = named.contains(name.as_str())
                || script.contains(&quoted)
                || matches!(name.as_str(), "guard" | "observe");
            assert!(used, "{name} is used nowhere");
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let html = include_str!("page/index.html");
        for forbidden in ["<style", " style=", " onclick", "javascript:", "src=\"http", "href=\"http", "src=\"//"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        for element in html.split("<script").skip(1) {
            assert!(element.starts_with(" src=\"") && element.contains("></script>"), "{element}");
        }
        for source in [include_str!("page/app.js"), include_str!("page/style.css")] {
            for forbidden in ["innerHTML", "outerHTML", "eval(", "http://", "https://", "@import", "url("] {
                assert!(!source.contains(forbidden), "{forbidden}");
            }
        }
    }
}
