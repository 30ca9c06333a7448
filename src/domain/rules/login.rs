//! The credentials with which the gate logs in for a consumer.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// A login name and its password. Neither is ever shown.
#[derive(Clone)]
pub struct Login {
    user: SecretString,
    password: SecretString,
}

impl Login {
    #[must_use]
    pub const fn new(user: SecretString, password: SecretString) -> Self {
        Self { user, password }
    }

    #[must_use]
    pub const fn user(&self) -> &SecretString {
        &self.user
    }

    #[must_use]
    pub const fn password(&self) -> &SecretString {
        &self.password
    }
}

impl PartialEq for Login {
    fn eq(&self, other: &Self) -> bool {
        let same = |one: &SecretString, other: &SecretString| one.expose_secret() == other.expose_secret();
        same(&self.user, &other.user) && same(&self.password, &other.password)
    }
}

impl Eq for Login {}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}
