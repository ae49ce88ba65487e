//! What a client is answered when the backend opens no WebSocket.

use axum::{
    body::Body,
    http::{
        HeaderName, StatusCode,
        header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use sockeye::ConnectError;

/// The headers of a refusal that are for the client.
const HANDED_ON: [HeaderName; 5] = [CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE];

/// The backend's own refusal, such as 401 or 429. Otherwise 504 if it took too long, and 502. The reason is in the log, and not
/// in the answer, since it names the backend.
pub(crate) fn answer(error: &ConnectError) -> Response {
    // A success without a WebSocket is no answer to this request.
    let refused = error.response().filter(|answer| error.is_server() && answer.status().as_u16() >= 300);
    let Some(answer) = refused else {
        tracing::warn!(%error, "no connection to the backend");
        let status = if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
        return status.into_response();
    };
    let mut response = Response::new(match error.is_truncated() {
        true => Body::empty(),
        false => Body::from(answer.body().clone()),
    });
    *response.status_mut() = answer.status();
    for name in HANDED_ON {
        for value in answer.headers().get_all(&name) {
            response.headers_mut().append(&name, value.clone());
        }
    }
    response
}
