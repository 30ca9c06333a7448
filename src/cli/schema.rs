//! `schema`: the JSON Schema of the configuration file.

use super::Exit;
use crate::cli::help::both;
use crate::config::schema::json_schema;
use crate::text::Lang;

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "Print a JSON Schema of the configuration file",
    "Afficher un schéma JSON du fichier de configuration"
))]
pub(super) struct SchemaArgs {}

/// Prints the schema.
#[must_use]
pub(super) fn run(_args: &SchemaArgs, lang: Lang) -> Exit {
    super::data(&format!("{:#}", json_schema(lang)));
    Exit::Ok
}
