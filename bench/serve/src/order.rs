//! What a measured client is asked to do.

use anyhow::{Context as _, Result};
use std::net::SocketAddr;

/// An order to open connections, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Where the connections lead.
    pub server: SocketAddr,
    /// How many they are.
    pub count: usize,
}

impl Order {
    /// Reads a line, `IP:PORT COUNT`.
    ///
    /// # Errors
    ///
    /// When the line is another one.
    pub fn parse(line: &[u8]) -> Result<Self> {
        let line = std::str::from_utf8(line).context("an order is no text")?.trim();
        let order = line.split_once(' ').and_then(|(server, count)| Some((server.parse().ok()?, count.parse().ok()?)));
        let (server, count) = order.with_context(|| format!("`{line}` is no order such as `127.0.0.1:80 2`"))?;
        Ok(Self { server, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_an_address_and_a_number() {
        let server = "127.0.0.1:80".parse().unwrap();
        assert_eq!(Order::parse(b"127.0.0.1:80 2\n").unwrap(), Order { server, count: 2 });
        for wrong in ["127.0.0.1:80", "localhost 2", "127.0.0.1:80 many", "127.0.0.1:80 2\n127.0.0.1:80 3"] {
            assert!(Order::parse(wrong.as_bytes()).unwrap_err().to_string().contains("is no order"), "{wrong}");
        }
    }
}
