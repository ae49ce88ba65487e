//! The body of a refusal, as far as it is wanted.

use std::{pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http::Response;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use super::{Driven, plain};

/// How long the body of a refusal may take. The status is known already, and somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads at most `most` bytes. Returns whether the body is not whole.
pub(super) async fn read(
    response: Response<Incoming>,
    driven: &mut Driven,
    most: usize,
    deadline: Option<Instant>,
) -> (Response<Bytes>, bool) {
    let (head, mut body) = plain(response).into_parts();
    let mut read = BytesMut::new();
    let reading = async {
        loop {
            if body.is_end_stream() || read.len() == most {
                return body.is_end_stream();
            }
            let next = driven.beside(|cx| Pin::new(&mut body).poll_frame(cx).map(Ok)).await;
            // Trailers are no part of the body.
            let data = match next {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(None) => return true,
                Ok(Some(Err(_))) | Err(_) => return false,
            };
            let taken = data.len().min(most - read.len());
            read.extend_from_slice(&data[..taken]);
            if taken < data.len() {
                return false;
            }
        }
    };
    let patience = Instant::now() + PATIENCE;
    let is_whole = timeout_at(deadline.map_or(patience, |deadline| patience.min(deadline)), reading).await == Ok(true);
    (Response::from_parts(head, read.freeze()), !is_whole)
}
