//! WebSockets over HTTP/2 (RFC 8441): streams of an extended CONNECT, several on each connection.
//!
//! One thread, as over HTTP/1.1, but with the crate `h2` and tokio. The main future is always ready, so the runtime never
//! sleeps either.

use crate::course::{Course, LOOK};
use crate::echo::Echo;
use crate::limits::{Limits, SILENCE};
use crate::messages::Messages;
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::server::Target;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, StatusCode};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet, yield_now};
use tokio::time::timeout;

/// Runs a scenario over this number of connections.
pub(crate) fn run(scenario: &Scenario, target: &Target, limits: Limits, connections: usize) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    LocalSet::new().block_on(&runtime, drive(scenario, target, limits, connections))
}

/// What all streams share.
struct Shared {
    /// How often a stream may still send a batch of all its messages in flight.
    rounds: Cell<u64>,
    course: RefCell<Course>,
    /// When a message last came back.
    heard: Cell<Instant>,
}

async fn drive(scenario: &Scenario, target: &Target, limits: Limits, connections: usize) -> Result<Outcome> {
    let mut opened = Vec::new();
    for connection in 0..connections {
        let mut client =
            timeout(SILENCE, connect(target)).await.context("the server did not offer RFC 8441 in time")??;
        for number in (connection..scenario.connections).step_by(connections) {
            let streams = timeout(SILENCE, open(&mut client, target)).await.context("no answer to a CONNECT came")?;
            opened.push((streams.with_context(|| format!("WebSocket {number}"))?, number));
        }
    }
    let shared = Rc::new(Shared {
        rounds: Cell::new(limits.messages / scenario.in_flight as u64),
        course: RefCell::new(Course::begin(scenario, target, limits)?),
        heard: Cell::new(Instant::now()),
    });
    let mut tasks = JoinSet::new();
    for ((send, receive), number) in opened {
        let messages = Messages::new(scenario, number)?;
        tasks.spawn_local(echo(send, receive, messages, shared.clone()));
    }

    loop {
        if limits.sleeps {
            tokio::time::sleep(LOOK).await;
        } else {
            yield_now().await;
        }
        while let Some(ended) = tasks.try_join_next() {
            ended.context("a WebSocket has panicked")??;
        }
        let (silence, seconds) = (shared.heard.get().elapsed(), SILENCE.as_secs());
        ensure!(silence < SILENCE || tasks.is_empty(), "nothing came back for {seconds} s");
        if let Some(outcome) = shared.course.borrow_mut().proceed(tasks.is_empty())? {
            return Ok(outcome);
        }
    }
}

/// Opens a connection, and waits until the server allows the extended CONNECT.
async fn connect(target: &Target) -> Result<SendRequest<Bytes>> {
    let stream =
        TcpStream::connect(target.address).await.with_context(|| format!("cannot connect to {}", target.address))?;
    stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    let (client, connection) = h2::client::handshake(stream).await.context("the server speaks no HTTP/2")?;
    tokio::task::spawn_local(async move {
        // If it fails, its streams fail too and report it.
        let _ = connection.await;
    });
    let mut client = client.ready().await.context("the server takes no request")?;
    // RFC 8441 §3: a client may use it after the server has sent SETTINGS_ENABLE_CONNECT_PROTOCOL.
    while !client.is_extended_connect_protocol_enabled() {
        yield_now().await;
        client = client.ready().await.context("the server takes no request")?;
    }
    Ok(client)
}

/// Opens a WebSocket on a stream of its own.
async fn open(client: &mut SendRequest<Bytes>, target: &Target) -> Result<(SendStream<Bytes>, RecvStream)> {
    let Target { address, path, .. } = target;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{address}{path}"))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"));
    let request = request.body(()).context("no such request")?;
    *client = client.clone().ready().await.context("the server takes no more streams")?;
    let (answer, send) = client.send_request(request, false).context("cannot send a CONNECT")?;
    let answer = answer.await.context("the server did not answer a CONNECT")?;
    ensure!(answer.status() == StatusCode::OK, "the server answered a CONNECT with {}", answer.status());
    Ok((send, answer.into_body()))
}

/// Sends all messages in flight, and again when all of them are back, as long as there are rounds left.
async fn echo(
    mut send: SendStream<Bytes>,
    mut receive: RecvStream,
    messages: Messages,
    shared: Rc<Shared>,
) -> Result<()> {
    let wire = Bytes::from(messages.wire.clone());
    let mut echo = Echo::default();
    while let Some(rounds) = shared.rounds.get().checked_sub(1) {
        shared.rounds.set(rounds);
        echo.restart();
        let begun = Instant::now();
        send.send_data(wire.clone(), false).context("cannot send")?;
        while echo.position < messages.payloads.len() {
            let bytes = receive.data().await.context("the server ended a WebSocket")?.context("cannot receive")?;
            let _ = receive.flow_control().release_capacity(bytes.len());
            let back = echo.receive(&bytes, &messages)?;
            shared.course.borrow_mut().messages += back as u64;
            if !echo.answers.is_empty() {
                send.send_data(std::mem::take(&mut echo.answers).into(), false).context("cannot send a Pong")?;
            }
        }
        let now = Instant::now();
        shared.course.borrow_mut().samples.add(now.duration_since(begun));
        shared.heard.set(now);
    }
    Ok(())
}
