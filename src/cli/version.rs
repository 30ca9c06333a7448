//! `version`: what this binary is.

use super::Exit;

#[derive(clap::Args, Debug)]
pub(super) struct VersionArgs {}

pub(super) fn run(_args: &VersionArgs) -> Exit {
    super::data(&format!("sensgate {}", env!("CARGO_PKG_VERSION")));
    Exit::Ok
}
