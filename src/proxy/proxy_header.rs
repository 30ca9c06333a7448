//! The PROXY header, versions 1 and 2 (haproxy.org, proxy-protocol.txt): who really calls, as a proxy in front states
//! it.

use ppp::{HeaderResult, v1, v2};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest version 1 line, with its CR LF (section 2.1).
const MAX_V1: usize = 107;

/// Longest version 2 header that is read; what a proxy adds beyond addresses is of no use here.
const MAX_V2: usize = 2048;

/// What every version 2 header begins with, and how long that beginning is with the length field (section 2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_START: usize = 16;

/// Not a PROXY header, or one that is cut or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoHeader;

/// Reads the header and not one byte more. Returns the stated source; `None` when the proxy speaks for itself, as in a
/// health check.
///
/// # Errors
/// When what comes is no header. The connection is of no use then.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, NoHeader> {
    let mut header = Vec::with_capacity(MAX_V1);
    loop {
        // Byte by byte: whatever comes after the header belongs to somebody else.
        header.push(stream.read_u8().await.map_err(|_| NoHeader)?);
        if header.len() == V2_START && header.starts_with(V2_SIGNATURE) {
            let more = usize::from(u16::from_be_bytes([header[14], header[15]]));
            if more > MAX_V2 {
                return Err(NoHeader);
            }
            header.resize(V2_START + more, 0);
            stream.read_exact(&mut header[V2_START..]).await.map_err(|_| NoHeader)?;
            return source(&header);
        }
        let may_be_v2 = V2_SIGNATURE.starts_with(&header) || header.starts_with(V2_SIGNATURE);
        if !may_be_v2 {
            let may_be_v1 = b"PROXY ".starts_with(&header) || header.starts_with(b"PROXY ");
            if !may_be_v1 || header.len() > MAX_V1 {
                return Err(NoHeader);
            }
            if header.ends_with(b"\n") {
                return source(&header);
            }
        }
    }
}

fn source(header: &[u8]) -> Result<Option<SocketAddr>, NoHeader> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => Ok(match header.addresses {
            v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
            v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(NoHeader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is read, and what is left.
    fn outcome(bytes: &[u8]) -> (Result<Option<String>, NoHeader>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let read = runtime.block_on(read(&mut rest));
        (read.map(|source| source.map(|address| address.to_string())), rest.to_vec())
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let len = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE.as_slice(), &[0x20 | command, family], &len, addresses].concat()
    }

    #[test]
    fn both_versions_state_the_source_and_leave_the_rest() {
        let ipv4 = [203, 0, 113, 9, 192, 0, 2, 1, 0x1f, 0x90, 0x01, 0xbb];
        let ipv6 = [[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]; 2].concat();
        let ipv6 = [&ipv6[..], &[0x1f, 0x90, 0x01, 0xbb]].concat();
        for (header, source) in [
            (b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\r\n".to_vec(), Some("203.0.113.9:8080")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 8080 443\r\n".to_vec(), Some("[2001:db8::7]:8080")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(1, 0x11, &ipv4), Some("203.0.113.9:8080")),
            (v2(1, 0x21, &ipv6), Some("[2001:db8::7]:8080")),
            (v2(1, 0x11, &[&ipv4[..], &[0x04, 0, 1, 0]].concat()), Some("203.0.113.9:8080")),
            (v2(0, 0x00, &[]), None),
        ] {
            let (read, rest) = outcome(&[&header[..], b"GET / HTTP/1.1\r\n"].concat());
            assert_eq!((read, &rest[..]), (Ok(source.map(str::to_owned)), &b"GET / HTTP/1.1\r\n"[..]), "{header:?}");
        }
    }

    #[test]
    fn anything_else_is_no_header() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(),
            b"",
            b"PROXY",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443",
            b"PROXY TCP4 999.0.113.9 192.0.2.1 8080 443\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 99999\r\n",
            b"PROXY TCP9 203.0.113.9 192.0.2.1 8080 443\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 8080 443\n",
            b"proxy TCP4 203.0.113.9 192.0.2.1 8080 443\r\n",
            &[b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
            &v2(1, 0x11, &[1, 2, 3]),
            &v2(7, 0x11, &[0; 12]),
            &v2(1, 0x11, &[0; 3000]),
            &v2(1, 0x11, &[0; 12])[..20],
            &V2_SIGNATURE[..8],
        ] {
            assert_eq!(outcome(bytes).0, Err(NoHeader), "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_may_come(bytes in prop::collection::vec(any::<u8>(), 0..200), signed in any::<bool>()) {
            let bytes = if signed { [V2_SIGNATURE.as_slice(), &bytes].concat() } else { bytes };
            let _ = outcome(&bytes);
        }
    }
}
