//! `keys revoke`: a key that is accepted no more. The sessions that it learned end with it.

use super::edit::{Edit, tell_gate};
use super::{Failure, FileArgs};
use crate::cli::{Exit, talk};
use crate::text;
use crate::text::Lang;

#[derive(clap::Args, Clone, Debug)]
pub struct RevokeArgs {
    #[arg(value_name = "CONSUMER")]
    pub consumer: String,
    #[arg(value_name = "ID")]
    pub id: String,
    #[arg(long)]
    pub keep: bool,
    #[command(flatten)]
    pub file: FileArgs,
}

pub(super) fn run(args: &RevokeArgs, lang: Lang) -> Result<Exit, Failure> {
    let RevokeArgs { consumer, id, .. } = args;
    let mut edit = Edit::open(&args.file)?;
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
