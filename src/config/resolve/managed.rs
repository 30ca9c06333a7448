//! What has to hold of the whole file where the gate keeps sessions.

use crate::config::diagnostic::{Complaint, Rule};
use crate::config::reader::Section;
use crate::domain::rules::consumer::Consumer;
use crate::domain::rules::snapshot::{SessionMode, SessionRules};
use crate::text;

/// The gate has to know where to log in.
pub(super) fn check(section: &Section<'_>, rules: &SessionRules, consumers: &[Consumer]) {
    let is_managed = |consumer: &Consumer| rules.mode_of(consumer) == SessionMode::Managed;
    if rules.login_target().is_some() || !consumers.iter().any(is_managed) {
        return;
    }
    let complaint = Complaint::new(
        Rule::ManagedLoginRoute,
        text! {
            en: "the gate has to log in, and no login route is a POST without `*`",
            fr: "la passerelle doit se connecter, et aucune route de connexion n'est un POST sans `*`"
        },
        text! { en: "no route to log in at", fr: "pas de route où se connecter" },
    );
    let complaint = complaint.hint(text! {
        en: "name it first: `login_routes = [\"POST /v1/login/user\"]`",
        fr: "nommez-la en premier : `login_routes = [\"POST /v1/login/user\"]`"
    });
    // It has a good default.
    if let Some(field) = section.get("login_routes") {
        field.error(complaint);
    }
}
