//! `keys revoke`: a key that is accepted no more. The sessions that it learned end with it.

use super::edit::{Edit, tell_gate};
use super::{Failure, FileArgs};
use crate::cli::help::both;
use crate::cli::{Exit, talk};
use crate::text;
use crate::text::Lang;

#[derive(clap::Args, Clone, Debug)]
#[command(about = both(
    "End a key, and the sessions that were opened with it",
    "Mettre fin à une clé, et aux sessions ouvertes avec elle"
))]
pub(crate) struct RevokeArgs {
    #[arg(value_name = "CONSUMER", help = both("The consumer, by its name", "Le consommateur, par son nom"))]
    pub consumer: String,
    #[arg(value_name = "ID", help = both("The id of the key", "L'identifiant de la clé"))]
    pub id: String,
    #[arg(long, help = both(
        "Disable the key, and leave it in the file",
        "Désactiver la clé, et la laisser dans le fichier"
    ))]
    pub keep: bool,
    #[command(flatten)]
    pub file: FileArgs,
}

pub(super) fn run(args: &RevokeArgs, lang: Lang) -> Result<Exit, Failure> {
    let RevokeArgs { consumer, id, .. } = args;
    let mut edit = Edit::open(&args.file, consumer)?;
    if args.keep {
        edit.apply(consumer, id, |draft| draft.disable(consumer, id))?;
    } else {
        edit.apply(consumer, id, |draft| draft.remove_key(consumer, id))?;
    }
    edit.prepare(consumer)?.commit()?;
    let text = if args.keep {
        text! { en: "Key {id} of {consumer} is disabled.", fr: "La clé {id} de {consumer} est désactivée." }
    } else {
        text! { en: "Key {id} of {consumer} is removed.", fr: "La clé {id} de {consumer} est supprimée." }
    };
    talk(&text, lang);
    Ok(tell_gate(&args.file, lang))
}
