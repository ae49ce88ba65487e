//! One request over HTTP/1.1, and its answer: an upgrade, or a refusal with its body.
//!
//! hyper's connection is driven in place. So nothing is spawned, the stream comes out as it went in, bytes that were read ahead are
//! kept, and dropping the future closes the stream.

mod failure;
mod refusal;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Extensions, Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use sockeye_tokio::Stream;
use tokio::time::Instant;

pub(crate) use self::failure::Failure;

/// Limits of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Bytes of the head.
    pub(crate) head: usize,
    /// Bytes of the body of a refusal.
    pub(crate) body: usize,
}

/// An answer with more headers than this is refused.
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

/// hyper's connection, until it has nothing more to do.
struct Driven {
    connection: http1::Connection<TokioIo<Stream>, Empty<Bytes>>,
    is_over: bool,
}

/// Sends a request that asks for an upgrade or a tunnel, and waits for the answer. The caller gives up at `deadline`; the body of a
/// refusal is cut before.
pub(crate) async fn send(
    stream: Stream,
    request: Request<()>,
    limits: &Limits,
    deadline: Option<Instant>,
) -> Result<Answer, Failure> {
    let is_connect = request.method() == Method::CONNECT;
    let failure = |error| Failure { error, head_limit: limits.head };
    let mut builder = http1::Builder::new();
    builder
        // As browsers do: some servers compare the names with their case.
        .title_case_headers(true)
        // There is one piece to write, the head.
        .writev(false)
        .max_headers(MAX_HEADERS)
        .max_header_size(limits.head)
        .max_buf_size(limits.head.max(LEAST_BUFFER));
    let (mut requests, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failure)?;
    let mut driven = Driven { connection, is_over: false };
    let response = {
        let mut answer = pin!(requests.send_request(request.map(|()| Empty::new())));
        driven.beside(|cx| answer.as_mut().poll(cx)).await.map_err(failure)?
    };
    let status = response.status();
    let is_upgraded = if is_connect { status.is_success() } else { status == StatusCode::SWITCHING_PROTOCOLS };
    if !is_upgraded {
        let (response, is_truncated) = refusal::read(response, &mut driven, limits.body, deadline).await;
        return Ok(Answer::Refused(response, is_truncated));
    }
    // hyper takes a 204 for the end of an exchange, and would wait for the next.
    if status != StatusCode::NO_CONTENT {
        driven.finish().await.map_err(failure)?;
    }
    let parts = driven.connection.into_parts();
    let stream = parts.io.into_inner().with_read_ahead(parts.read_buf);
    Ok(Answer::Upgraded(plain(response).map(drop), stream))
}

impl Driven {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        if !self.is_over {
            ready!(self.connection.poll_without_shutdown(cx))?;
            self.is_over = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Drives the connection to its end: all is written, and an upgrade has begun.
    async fn finish(&mut self) -> hyper::Result<()> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Polls `wanted` beside the connection that it needs, until it is ready or the connection fails.
    async fn beside<T>(
        &mut self,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<hyper::Result<T>>,
    ) -> hyper::Result<T> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll(cx) {
                return Poll::Ready(Err(error));
            }
            wanted(cx)
        })
        .await
    }
}

/// Without what hyper adds for itself.
fn plain(mut response: Response<Incoming>) -> Response<Incoming> {
    *response.extensions_mut() = Extensions::new();
    response
}
