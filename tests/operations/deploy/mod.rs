//! What is in `deploy/`, held by the tools that will read it.

mod debian;
mod install;
mod logrotate;
mod unit;
