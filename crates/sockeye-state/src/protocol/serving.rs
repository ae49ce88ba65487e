//! How a connection begins: with a user who is known, or with a token.

use sockeye_tokio::{Message, WebSocket};
use tokio::time::{Instant, timeout_at};

use super::{
    Authenticate, Options, Policy,
    code::{Code, Refusal},
    request::{self, Request},
    session::{Session, UNAUTHORIZED},
};
use crate::Hub;

pub(crate) async fn serve<T: Send + Sync + 'static, P: Policy<T>>(
    socket: WebSocket,
    hub: Hub<T>,
    value: T,
    policy: &P,
    options: &Options,
) {
    let key = policy.key(&value);
    // Dropped after the socket, at the end of all: until then the page is in its rooms.
    let me = hub.register(socket.sender(), value);
    Session::new(&me, policy, &key, options).run(socket).await;
}

pub(crate) async fn serve_with_auth<T: Send + Sync + 'static, P: Authenticate<T>>(
    mut socket: WebSocket,
    hub: Hub<T>,
    policy: &P,
    options: &Options,
) {
    let refusal = match first_frame(&mut socket, options).await {
        Ok(Some(token)) => match policy.authenticate(&token).await {
            Some(value) => return serve(socket, hub, value, policy, options).await,
            None => Refusal::frame(Code::AuthFailed, "the token is not accepted; connect again with another one"),
        },
        Ok(None) => return,
        Err(refusal) => refusal,
    };
    hub.inner().engine.counters.protocol_error();
    // An error means that the connection has ended meanwhile.
    let _ = socket.try_send(Message::text(refusal.text()));
    let _ = socket.close_with(UNAUTHORIZED, "no valid token").await;
}

/// The token. `None` if the connection has ended, or is to end for a shutdown.
async fn first_frame(socket: &mut WebSocket, options: &Options) -> Result<Option<String>, Refusal> {
    let until = Instant::now() + options.auth_within;
    let text = loop {
        match timeout_at(until, socket.recv()).await {
            Ok(Some(Ok(Message::Text(text)))) => break text,
            Ok(Some(Ok(Message::Binary(_)))) => {
                return Err(Refusal::frame(Code::Binary, "the message is binary; expected a text with the frame auth"));
            }
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) => return Ok(None),
            Err(_) => {
                let why = format!(
                    "no token has come within {} s; send the frame auth first",
                    options.auth_within.as_secs_f32()
                );
                return Err(Refusal::frame(Code::AuthTimeout, why));
            }
        }
    };
    match request::read(&text, options.max_frame_size, &mut Vec::new())? {
        Request::Auth { token } => Ok(Some(token)),
        _ => Err(Refusal::frame(Code::AuthFailed, "the first frame is not auth; expected auth with a token")),
    }
}
