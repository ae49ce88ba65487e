//! The opening handshake, as a client.

use crate::wire::Wire;
use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustls::ClientConfig;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tungstenite::handshake::derive_accept_key;

/// The nonce of RFC 6455 §1.3: a server accepts any nonce.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// How long the server may take for the answer.
const LIMIT: Duration = Duration::from_secs(10);

/// The loopback addresses from which connections are made: the next one is used if one has no ports left.
const SOURCES: u8 = 16;

/// The segments of a client behind a network, in bytes.
const SEGMENT: u32 = 1448;

/// The bytes that the kernel keeps for such a client. It doubles the number, for what it needs besides.
const UNREAD: usize = 32 << 10;

/// The offer of a client that wants each message to be compressed by itself, in both directions (RFC 7692 §7.1.1).
const OFFER: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";

/// Opens an upgraded connection, over TLS if there is `tls`. Returns it with the bytes after the answer. With `deflate`, both
/// sides have agreed to compress.
///
/// # Errors
///
/// When the connection cannot be opened, or the server does not upgrade it.
pub(crate) fn open(
    server: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    path: &str,
    deflate: bool,
) -> Result<(Wire, Vec<u8>)> {
    upgrade(dial(server)?, server, tls, path, deflate)
}

/// As [`open`], over a new TCP connection.
pub(crate) fn upgrade(
    stream: TcpStream,
    server: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    path: &str,
    deflate: bool,
) -> Result<(Wire, Vec<u8>)> {
    stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    stream.set_read_timeout(Some(LIMIT)).context("cannot limit the time for the answer")?;
    let mut wire = Wire::new(stream, tls)?;
    let offer = if deflate { OFFER } else { "" };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{offer}\r\n"
    );
    wire.write_all(request.as_bytes()).context("cannot send the request")?;

    let mut answer = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let read = wire.read(&mut piece).context("the answer to the request did not come")?;
        ensure!(read > 0, "the server ended the connection instead of answering the request");
        answer.extend_from_slice(&piece[..read]);
        if let Some(length) = check(&answer, deflate)? {
            return Ok((wire, answer.split_off(length)));
        }
        ensure!(answer.len() < 1 << 16, "the answer to the request is longer than 64 KiB");
    }
}

/// The length of the answer, once it is complete and valid.
fn check(answer: &[u8], deflate: bool) -> Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(answer).context("the server answered with no HTTP")? else {
        return Ok(None);
    };
    if response.code != Some(101) {
        let text = String::from_utf8_lossy(&answer[..answer.len().min(512)]).escape_debug().to_string();
        bail!("the server did not upgrade the connection: {text}");
    }
    let accept = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    let accept = accept.context("the answer has no Sec-WebSocket-Accept")?;
    ensure!(accept.value == derive_accept_key(KEY.as_bytes()).as_bytes(), "Sec-WebSocket-Accept is wrong");
    let extensions =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-extensions"));
    let extensions = extensions.map_or("", |header| std::str::from_utf8(header.value).unwrap_or("no text"));
    if deflate {
        let agrees = extensions.starts_with("permessage-deflate") && extensions.contains("server_no_context_takeover");
        ensure!(agrees, "the server does not compress each message by itself; it agreed to `{extensions}`");
    } else {
        ensure!(extensions.is_empty(), "the server agreed to `{extensions}`, which nobody offered");
    }
    Ok(Some(length))
}

/// Connects, from another loopback address if this one has no ports left.
pub(crate) fn dial(server: SocketAddr) -> Result<TcpStream> {
    let mut result = TcpStream::connect_timeout(&server, LIMIT);
    for last in 2..2 + SOURCES {
        match &result {
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => result = dial_from(last, server),
            _ => break,
        }
    }
    result.with_context(|| {
        format!("cannot connect to {server} (ports in use: `ss -s`; their range: net.ipv4.ip_local_port_range)")
    })
}

/// Connects like a client behind a network: segments of 1,448 bytes, and at most 64 KiB that nobody has read. The server's
/// kernel derives the size of its own buffer from the segments, which on loopback are 64 KiB.
pub(crate) fn dial_narrow(server: SocketAddr) -> Result<TcpStream> {
    let stream = socket(AddressFamily::INET, SocketType::STREAM, None).context("cannot make a socket")?;
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::TcpMaxSeg, &SEGMENT)
        .context("cannot set TCP_MAXSEG")?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, UNREAD).context("cannot set SO_RCVBUF")?;
    connect(&stream, &server).with_context(|| format!("cannot connect to {server}"))?;
    Ok(stream.into())
}

fn dial_from(last: u8, server: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&stream, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0))?;
    connect(&stream, &server)?;
    Ok(stream.into())
}

/// Takes the address out of `http://127.0.0.1:PORT`.
///
/// # Errors
///
/// When the URL has another form, or leads to another machine.
pub fn server_address(url: &str) -> Result<SocketAddr> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let address: SocketAddr =
        address.parse().with_context(|| format!("`{url}` is no URL such as http://127.0.0.1:9001"))?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Ok(address),
        _ => bail!("`{url}` is not on 127.0.0.0/8; load goes to this machine alone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn the_answer_to_the_opening_handshake_is_checked_when_it_is_whole() {
        assert_eq!(check(ANSWER.as_bytes(), false).unwrap(), Some(ANSWER.len()));
        assert_eq!(check(&ANSWER.as_bytes()[..ANSWER.len() - 1], false).unwrap(), None);
        let wrong = ANSWER.replace("s3p", "s3q");
        assert!(check(wrong.as_bytes(), false).unwrap_err().to_string().contains("Accept is wrong"));
        assert!(check(b"HTTP/1.1 404 Not Found\r\n\r\n", false).unwrap_err().to_string().contains("404"));
    }

    #[test]
    fn a_server_that_agrees_to_another_compression_than_the_measured_one_is_refused() {
        let compressed = |extensions: &str| {
            ANSWER.replace("\r\nsec-", &format!("\r\nSec-WebSocket-Extensions: {extensions}\r\nsec-"))
        };
        let full = compressed("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        assert_eq!(check(full.as_bytes(), true).unwrap(), Some(full.len()));
        assert!(check(full.as_bytes(), false).unwrap_err().to_string().contains("nobody offered"));
        for short in [ANSWER.to_owned(), compressed("permessage-deflate")] {
            assert!(check(short.as_bytes(), true).unwrap_err().to_string().contains("by itself"));
        }
    }

    #[test]
    fn a_narrow_connection_has_small_segments_and_a_small_receive_buffer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = dial_narrow(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        let segment = nix::sys::socket::getsockopt(&server, nix::sys::socket::sockopt::TcpMaxSeg).unwrap();
        // Timestamps take some of it.
        assert!((SEGMENT - 40..=SEGMENT).contains(&segment), "{segment}");
        assert_eq!(rustix::net::sockopt::socket_recv_buffer_size(&client).unwrap(), 2 * UNREAD);
    }

    #[test]
    fn a_server_on_another_machine_is_refused() {
        assert_eq!(server_address("http://127.0.0.1:80/").unwrap(), "127.0.0.1:80".parse().unwrap());
        assert!(server_address("http://192.0.2.1:80").unwrap_err().to_string().contains("this machine alone"));
        assert!(server_address("http://localhost").is_err());
    }
}
