//! Single values as an admin types them outside of the file: the same rules as in it, the same words when they are
//! broken.

use super::diagnostic::Complaint;
use super::secret::{MAX_SECRET, in_words};
use super::{address, value};
use crate::domain::request::pasted;
use crate::text::Text;
use std::net::SocketAddr;

/// Where a server is: a host name or IP address, without brackets, and a port.
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn host_port(text: &str) -> Result<(String, u16), Text> {
    address::host_port(text).map_err(Complaint::sentence)
}

/// An address to listen on.
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn socket_address(text: &str) -> Result<SocketAddr, Text> {
    address::socket_address(text).map_err(Complaint::sentence)
}

/// A network, or one address.
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn network(text: &str) -> Result<String, Text> {
    address::network(text).map(|_| text.to_owned()).map_err(Complaint::sentence)
}

/// The name of a consumer or of a credential.
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn name(text: &str) -> Result<String, Text> {
    value::name(text).map_err(Complaint::sentence)
}

/// A duration such as `900s`, as it would be written.
///
/// # Errors
/// What is wrong, and what to write instead.
pub fn duration(text: &str) -> Result<String, Text> {
    value::duration(text).map(|_| text.to_owned()).map_err(Complaint::sentence)
}

/// A secret that a header field can carry.
///
/// # Errors
/// Why it cannot; the secret is not repeated.
pub fn secret(text: &str) -> Result<(), Text> {
    pasted::fault(text.as_bytes(), MAX_SECRET).map_or(Ok(()), |fault| Err(in_words(fault)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Lang;

    #[test]
    fn a_broken_value_says_what_to_write_instead() {
        let error = host_port("http://erp:8082").unwrap_err();
        assert!(error.in_lang(Lang::En).ends_with("write \"erp:8082\""), "{error:?}");
        assert!(error.in_lang(Lang::Fr).ends_with("écrivez \"erp:8082\""), "{error:?}");
        assert!(name("Boutique Paris").unwrap_err().in_lang(Lang::Fr).contains("boutique-paris"));
        assert_eq!(host_port("erp:8082"), Ok(("erp".to_owned(), 8082)));
        assert!(secret("two words").is_err() && secret("ZghY887665YhGH").is_ok());
        assert!(!secret("hunter2 hunter2").unwrap_err().in_lang(Lang::En).contains("hunter2"));
    }
}
