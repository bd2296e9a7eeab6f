//! Where the stack's servers listen.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;
use tokio::net::{TcpListener, lookup_host};

/// `host:port`, the host a name or an IP address; `:port` is on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: String,
    port: u16,
}

#[derive(Debug, Error)]
#[error("it is not a valid address: use host:port or :port")]
pub struct AddressError;

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError)?;
        let port = port.parse().map_err(|_| AddressError)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) if host.parse::<Ipv6Addr>().is_ok() => host,
            Some(_) => return Err(AddressError),
            None if host.is_empty() => "127.0.0.1",
            None if host.contains([':', '/', ' ']) => return Err(AddressError),
            None => host,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl ListenAddress {
    /// Listens there.
    ///
    /// # Errors
    /// When the host is not known, or the port is in use.
    pub async fn bind(&self) -> io::Result<(TcpListener, SocketAddr)> {
        let mut addresses: Vec<SocketAddr> = lookup_host((self.host.as_str(), self.port)).await?.collect();
        // `localhost` is often both; whoever is given 127.0.0.1 should find us.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        // Only the first: where its port is in use, listening elsewhere would hide that.
        let listener = TcpListener::bind(addresses.first().ok_or(io::ErrorKind::AddrNotAvailable)?).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    }
}

/// Where this machine's own clients reach what listens on `bound`.
#[must_use]
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        text.parse::<ListenAddress>().ok().map(|address| address.to_string())
    }

    #[test]
    fn an_address_is_a_host_and_a_port_or_a_port_on_loopback() {
        assert_eq!(parsed("localhost:9000").as_deref(), Some("localhost:9000"));
        assert_eq!(parsed("0.0.0.0:9000").as_deref(), Some("0.0.0.0:9000"));
        assert_eq!(parsed("[::1]:9000").as_deref(), Some("[::1]:9000"));
        assert_eq!(parsed(":9000").as_deref(), Some("127.0.0.1:9000"));
        for other in
            ["", "9000", "localhost", "localhost:", "localhost:http", "::1:9000", "[x]:1", "http://a:1", ":65536"]
        {
            assert_eq!(parsed(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_host_name_is_looked_up_and_localhost_is_127_0_0_1() {
        let address: ListenAddress = "localhost:0".parse().unwrap();
        let (_listener, bound) = address.bind().await.unwrap();
        assert_eq!(bound.ip().to_string(), "127.0.0.1");
        let unknown: ListenAddress = "no-such-host.invalid:0".parse().unwrap();
        unknown.bind().await.unwrap_err();
    }

    #[test]
    fn what_listens_everywhere_is_reached_on_loopback() {
        let reached = |bound: &str| reachable(bound.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(reached("[::]:1"), "[::1]:1");
        assert_eq!(reached("192.0.2.1:1"), "192.0.2.1:1");
    }
}
