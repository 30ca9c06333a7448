//! The demonstration checks each of its own steps, and all of them hold.

use sensgate::cli::{Exit, demo};
use sensgate::text::Lang;

#[test]
fn the_demo_passes() {
    assert_eq!(demo::once(Lang::En), Exit::Ok);
}
