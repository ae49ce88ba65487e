//! `ClientNetwork`: what counts as one client.

use std::net::{IpAddr, Ipv6Addr};

use http::request::Parts;
use sockeye_handshake::forwarded::client_address;

/// What [`ConnectionLimits::per_key`](crate::ConnectionLimits::per_key) counts as one client: an IPv4 address, or an
/// IPv6 network of 64 bits.
///
/// A single host has a whole /64 of IPv6 addresses, and can open each connection from another address. So a limit for each IPv6
/// address would have no effect. An IPv4 address, on the other hand, may be that of a company or of a mobile network with many
/// users: do not choose the limit too low.
///
/// ```
/// use std::net::{IpAddr, Ipv6Addr};
/// use sockeye_extract::ClientNetwork;
///
/// let client = |address: &str| ClientNetwork::from(address.parse::<IpAddr>().unwrap());
/// assert_eq!(client("2001:db8::1"), client("2001:db8::2"));
/// assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
/// assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
/// assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(
    /// The last 64 bits of an IPv6 address are zero.
    Option<IpAddr>,
);

impl ClientNetwork {
    /// All clients whose address is not known, together. If they were not counted, a client could evade the limit.
    pub const UNKNOWN: Self = Self(None);
}

impl From<IpAddr> for ClientNetwork {
    fn from(address: IpAddr) -> Self {
        Self(Some(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        }))
    }
}

impl From<Option<IpAddr>> for ClientNetwork {
    fn from(address: Option<IpAddr>) -> Self {
        address.map_or(Self::UNKNOWN, Self::from)
    }
}

/// A key for [`ConnectionLimits::per_key`](crate::ConnectionLimits::per_key), for servers behind `trusted_hops` proxies: the
/// client that has connected to the first proxy, by `X-Forwarded-For` or `Forwarded` (RFC 7239), whichever the proxies write.
///
/// ```
/// use sockeye_extract::{ConnectionLimits, by_forwarded};
///
/// // A load balancer, and nginx behind it with `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`
/// let limits = ConnectionLimits::new().per_key(100, by_forwarded(2));
/// ```
///
/// # What a client can claim
///
/// Anybody can send these headers. Each proxy appends the address of the peer that connected to it. So the last `trusted_hops`
/// entries are true, and the first of those is the client's. Entries further left are never read. This is true only if
/// every request has come through all of the proxies, so the server must not be reachable without them. If `trusted_hops` is
/// too high, the entry is one that the client has written itself. Without a proxy, count by the peer's own address instead.
///
/// All requests whose client is not known count as one client: [`ClientNetwork::UNKNOWN`]. Such a request has neither header,
/// or fewer entries than `trusted_hops`, or an entry that is not an address, or two headers that contradict each other. In the
/// last case the proxies write one header, and pass on the other as the client has sent it: configure them to remove the other.
///
/// # Panics
///
/// If `trusted_hops` is 0: then no proxy has written an entry that could be trusted.
pub fn by_forwarded(trusted_hops: usize) -> impl Fn(&Parts) -> Option<ClientNetwork> + Clone + Send + Sync + 'static {
    assert_ne!(
        trusted_hops, 0,
        "`by_forwarded(0)`: `trusted_hops` must be the number of proxies in front of the server, at least 1; without a proxy, \
         use the peer's address as the key"
    );
    move |parts| Some(client_address(&parts.headers, trusted_hops).into())
}
