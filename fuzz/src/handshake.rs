//! The opening handshake: both sides answer any headers, and each side accepts what the other one makes.

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use sockeye_handshake::{
    Head, Offer, OpeningHandshake, Origins, Reject, asks_for_websocket,
    client::{ClientRequest, Expected},
    extension::MAX_OFFERS,
    subprotocol::MAX_REQUESTED,
};

use crate::plan;

const NAMES: [&str; 12] = [
    "host",
    "upgrade",
    "connection",
    "origin",
    "x-forwarded-host",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "sec-websocket-accept",
    "cookie",
    "x",
];

/// Pieces that reach more code than random bytes.
const WORDS: [&str; 24] = [
    "websocket",
    "upgrade",
    "13",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "http://",
    "https://",
    "a.example",
    "[::1]",
    ":80",
    "null",
    "\"",
    "\\",
    ",",
    ";",
    "=",
    "\t",
    " ",
    "\u{e9}",
    "permessage-deflate",
    "client_max_window_bits",
    "@",
    "/",
    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "keep-alive",
];

#[derive(Arbitrary, Debug)]
struct Plan {
    /// Also adds the headers of our client.
    client: Option<Client>,
    method: Option<String>,
    target: Option<String>,
    version: u8,
    protocol: Option<String>,
    /// Headers to remove, by their index in [`NAMES`].
    without: Vec<u8>,
    headers: Vec<(u8, Vec<Piece>)>,
    answer: Vec<(u8, Vec<Piece>)>,
    status: u16,
}

#[derive(Arbitrary, Debug)]
struct Client {
    secure: bool,
    host: String,
    protocols: Vec<String>,
    offers: Vec<String>,
    http2: bool,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    Word(u8),
    Bytes(Vec<u8>),
    Many(u8, u16),
}

pub fn run(data: &[u8]) {
    let Some(plan) = plan::read::<Plan>(data) else { return };
    let made = plan.client.as_ref().and_then(Client::make);
    if let Some((request, expected)) = &made {
        ours(request, expected);
    }
    let (mut request, expected) =
        made.map_or((Request::new(()), None), |(request, expected)| (request, Some(expected)));
    plan.change(&mut request);
    let head = Head::from(&request).protocol(plan.protocol.as_deref());
    let asks = asks_for_websocket(&head);
    match OpeningHandshake::read(&head) {
        Ok(handshake) => {
            assert!(asks, "what is right asks");
            accepted(&handshake, &request, expected.as_ref());
        }
        Err(reject) => rejected(reject),
    }
    if let Some(expected) = expected {
        let mut response = Response::new(());
        if let Ok(status) = plan.status.try_into() {
            *response.status_mut() = status;
        }
        append(response.headers_mut(), &plan.answer);
        let _ = expected.check(&response);
    }
}

/// Our server accepts the requests of our client, and our client accepts the answers of our server.
fn ours(request: &Request<()>, expected: &Expected) {
    let http2 = request.method() == Method::CONNECT;
    let head = Head::from(request).protocol(http2.then_some("websocket"));
    let handshake = OpeningHandshake::read(&head).unwrap_or_else(|reject| panic!("{reject}: {request:?}"));
    for protocol in [None].into_iter().chain(handshake.requested_protocols().iter().map(Some)) {
        let agreed = expected.check(&handshake.accept(protocol)).unwrap_or_else(|error| panic!("{error}: {request:?}"));
        assert_eq!(agreed.protocol.as_ref(), protocol);
    }
}

fn accepted(handshake: &OpeningHandshake, request: &Request<()>, expected: Option<&Expected>) {
    for offer in handshake.offers() {
        assert_eq!(offer.to_string().parse::<Offer>().as_ref(), Ok(offer));
    }
    let requested = handshake.requested_protocols();
    for (i, protocol) in requested.iter().enumerate() {
        assert!(!requested[..i].contains(protocol), "{protocol:?} is there twice");
        let name = protocol.to_str().expect("a token is ASCII");
        assert_eq!(handshake.choose_protocol([name]).as_ref(), Some(protocol));
        assert_eq!(handshake.accept(Some(protocol)).headers().get("sec-websocket-protocol"), Some(protocol));
    }
    let foreign = HeaderValue::from_static("not requested, since this is no token");
    assert!(!handshake.accept(Some(&foreign)).headers().contains_key("sec-websocket-protocol"));
    let trusting = Origins::same_origin().trust_forwarded_host();
    for origins in [Origins::same_origin(), Origins::list(["null", "http://a.example"]), Origins::any(), trusting] {
        if let Err(reject) = handshake.check_origin(&origins) {
            rejected(reject);
        }
    }
    // If the key is still the client's, the answer is what the client expects.
    if let (Some(expected), [key]) =
        (expected, &request.headers().get_all("sec-websocket-key").iter().collect::<Vec<_>>()[..])
        && let Some(accept) = expected.accept()
        && sockeye_handshake::key::Key::parse(key).is_some_and(|key| key.accept() == accept)
    {
        let checked = expected.check(&handshake.accept(None));
        assert!(checked.is_ok() || request.version() > Version::HTTP_11, "{checked:?}: {request:?}");
    }
}

fn rejected(reject: Reject) {
    let response = reject.into_response();
    assert!(response.status().is_client_error(), "{response:?}");
    let body = response.body();
    assert!(body.len() < 1024 && body.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{body:?}");
}

impl Client {
    fn make(&self) -> Option<(Request<()>, Expected)> {
        let scheme = if self.secure { "wss" } else { "ws" };
        let uri: Uri = format!("{scheme}://{}/chat", self.host).parse().ok()?;
        // No more than a server allows.
        let protocols = self.protocols.iter().take(MAX_REQUESTED).map(String::as_str);
        let mut request = ClientRequest::new(uri).ok()?.protocols(protocols).ok()?;
        for offer in self.offers.iter().take(MAX_OFFERS).filter_map(|offer| offer.parse().ok()) {
            request = request.offer(offer);
        }
        Some(if self.http2 { request.connect() } else { request.upgrade() })
    }
}

impl Plan {
    fn change(&self, request: &mut Request<()>) {
        if let Some(method) = self.method.as_ref().and_then(|method| method.parse().ok()) {
            *request.method_mut() = method;
        }
        if let Some(target) = self.target.as_ref().and_then(|target| target.parse().ok()) {
            *request.uri_mut() = target;
        }
        match self.version {
            0 => *request.version_mut() = Version::HTTP_10,
            1 => *request.version_mut() = Version::HTTP_2,
            2 => *request.version_mut() = Version::HTTP_09,
            3 => *request.version_mut() = Version::HTTP_3,
            _ => {}
        }
        for name in &self.without {
            request.headers_mut().remove(NAMES[usize::from(*name) % NAMES.len()]);
        }
        append(request.headers_mut(), &self.headers);
    }
}

fn append(headers: &mut HeaderMap, lines: &[(u8, Vec<Piece>)]) {
    for (name, pieces) in lines {
        let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
        let value: Vec<u8> = pieces.iter().flat_map(Piece::bytes).collect();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(name, value);
        }
    }
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        let word = |number: u8| WORDS[usize::from(number) % WORDS.len()].as_bytes();
        match self {
            Self::Word(number) => word(*number).to_vec(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Many(number, times) => word(*number).repeat(usize::from(*times) % 2048),
        }
    }
}
