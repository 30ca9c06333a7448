//! `doctor`, `explain` and `status` with the real binary. Each finding of `doctor` is provoked by a real fault, and is
//! not there without it.

mod eight_sens;
mod explained;
mod faults;
mod front;
mod monitored;
mod running;
mod site;
