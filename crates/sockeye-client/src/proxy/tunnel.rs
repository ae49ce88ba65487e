//! A tunnel through an HTTP proxy: `CONNECT` (RFC 9110 §9.3.6).

use http::{
    HeaderValue, Method, Request, Uri,
    header::{HOST, PROXY_AUTHORIZATION, USER_AGENT},
};
use sockeye_tokio::Stream;
use tokio::time::Instant;

use super::ProxyServer;
use crate::{
    ConnectError, Stage,
    error::Blame,
    http1::{self, Answer, Limits},
    request::{AGENT, Target},
};

/// Asks the proxy for a tunnel to `target`. Returns the stream, which then ends at the server.
pub(crate) async fn open(
    stream: Stream,
    proxy: &ProxyServer,
    target: &Target,
    limits: &Limits,
    deadline: Option<Instant>,
) -> Result<Stream, ConnectError> {
    let request = request(proxy, target)?;
    let answer = http1::send(stream, request, limits, deadline).await;
    match answer.map_err(|failure| failure.explain(Blame::Proxy, Stage::Proxy))? {
        // RFC 9110 §9.3.6: "Any 2xx (Successful) response indicates that the sender (...) will switch to tunnel mode".
        Answer::Upgraded(_, stream) => Ok(stream),
        Answer::Refused(response, is_truncated) => {
            Err(ConnectError::refused(Blame::Proxy, Stage::Proxy, response, is_truncated))
        }
    }
}

fn request(proxy: &ProxyServer, target: &Target) -> Result<Request<()>, ConnectError> {
    let authority = match (target.address, target.host.contains(':')) {
        (Some(address), _) => address.to_string(),
        (None, true) => format!("[{}]:{}", target.host, target.port),
        (None, false) => format!("{}:{}", target.host, target.port),
    };
    let wrong = || ConnectError::caller(Stage::Proxy, format!("`{authority}` cannot be asked of a proxy"));
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    // RFC 9110 §9.3.6: the target is "only the host and port number of the tunnel destination, separated by a colon".
    *request.uri_mut() = authority.parse::<Uri>().map_err(|_| wrong())?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(&authority).map_err(|_| wrong())?);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(authorization) = &proxy.authorization {
        headers.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}
