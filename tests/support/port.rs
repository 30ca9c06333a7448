//! Ports that stay what they are while other tests take ports of their own.

use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// An address on which nothing listens. It is taken for as long as the test runs, so that nobody else comes to listen
/// there.
pub fn closed() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

/// An address for a server that is started later: free, and out of the range from which the system deals ports.
pub fn free() -> SocketAddr {
    let mut bytes = [0; 2];
    loop {
        getrandom::fill(&mut bytes).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 16_384 + u16::from_be_bytes(bytes) % 16_384));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
