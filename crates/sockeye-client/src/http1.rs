//! One request over HTTP/1.1, and its answer: an upgrade, or a refusal with its body.
//!
//! hyper's connection is driven in place. So nothing is spawned, the stream comes out as it went in, bytes that were read ahead are
//! kept, and dropping the future closes the stream.

mod failure;
mod refusal;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use sockeye_tokio::Stream;

pub(crate) use self::failure::Failure;

/// Limits of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Bytes of the head.
    pub(crate) head: usize,
    /// Bytes of the body of a refusal.
    pub(crate) body: usize,
}

/// What more headers an answer has than this is refused.
const MAX_HEADERS: usize = 100;

/// hyper accepts no smaller buffer.
const LEAST_BUFFER: usize = 8 << 10;

impl Default for Limits {
    fn default() -> Self {
        Self { head: 32 << 10, body: 64 << 10 }
    }
}

/// The answer to a request.
pub(crate) enum Answer {
    /// 101, or 2xx to a CONNECT: the stream, from behind the head.
    Upgraded(Response<()>, Stream),
    /// Anything else, with its body, and whether the body is not whole.
    Refused(Response<Bytes>, bool),
}

type Connection = http1::Connection<TokioIo<Stream>, Empty<Bytes>>;

/// Sends a request that asks for an upgrade or a tunnel, and waits for the answer.
pub(crate) async fn send(stream: Stream, request: Request<()>, limits: &Limits) -> Result<Answer, Failure> {
    let is_connect = request.method() == Method::CONNECT;
    let failure = |error| Failure { error, head_limit: limits.head };
    let mut builder = http1::Builder::new();
    builder
        // As browsers do: some servers compare the names with their case.
        .title_case_headers(true)
        .max_headers(MAX_HEADERS)
        .max_header_size(limits.head)
        .max_buf_size(limits.head.max(LEAST_BUFFER));
    let (mut requests, mut connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failure)?;
    let response = {
        let mut answer = pin!(requests.send_request(request.map(|()| Empty::new())));
        beside(&mut connection, |cx| answer.as_mut().poll(cx)).await.map_err(failure)?
    };
    let status = response.status();
    let is_upgraded = if is_connect { status.is_success() } else { status == StatusCode::SWITCHING_PROTOCOLS };
    if !is_upgraded {
        let (response, is_truncated) = refusal::read(response, &mut connection, limits.body).await;
        return Ok(Answer::Refused(response, is_truncated));
    }
    // Until hyper has nothing more to do for the upgrade.
    poll_fn(|cx| connection.poll_without_shutdown(cx)).await.map_err(failure)?;
    let parts = connection.into_parts();
    let stream = parts.io.into_inner().with_read_ahead(parts.read_buf);
    Ok(Answer::Upgraded(head_of(response).map(drop), stream))
}

/// Polls `wanted` beside the connection that it needs, until it is ready or the connection fails.
async fn beside<T>(
    connection: &mut Connection,
    mut wanted: impl FnMut(&mut std::task::Context<'_>) -> Poll<hyper::Result<T>>,
) -> hyper::Result<T> {
    let mut is_over = false;
    poll_fn(|cx| {
        if !is_over {
            match connection.poll_without_shutdown(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => is_over = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        wanted(cx)
    })
    .await
}

/// Without what hyper adds for itself.
fn head_of(response: Response<Incoming>) -> Response<Incoming> {
    let (mut head, body) = response.into_parts();
    head.extensions.clear();
    Response::from_parts(head, body)
}
