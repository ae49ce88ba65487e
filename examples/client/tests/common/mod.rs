//! The program, and a server that does what its path says.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    io,
    process::{Output, Stdio},
};

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{any, get},
};
use sockeye::{Compression, Message, WebSocket, WebSocketUpgrade};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    process::{Child, Command},
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

/// The program with these arguments, without a proxy of the environment.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_example-client"));
    program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "WSS_PROXY", "WS_PROXY"] {
        program.env_remove(name).env_remove(name.to_lowercase());
    }
    program
}

/// Runs the program with this stdin to its end.
pub(crate) async fn run(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = program(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let write = async move {
        match stdin.write_all(input).await {
            // A program that has failed does not read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written.unwrap(),
        }
    };
    tokio::join!(write, ran(child)).1
}

pub(crate) async fn ran(child: Child) -> Ran {
    let Output { status, stdout, stderr } = child.wait_with_output().await.unwrap();
    Ran { status: status.code(), stdout, stderr: String::from_utf8(stderr).unwrap() }
}

/// What a program has left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    /// stdout of a program that has ended well.
    pub(crate) fn output(&self) -> &str {
        assert!(self.status == Some(0) && self.stderr.is_empty(), "{self:?}");
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// The running server.
pub(crate) struct Server {
    /// Without a path.
    pub(crate) url: String,
    /// The code of each Close that a client has sent to `/echo`.
    pub(crate) closes: UnboundedReceiver<u16>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (told, closes) = mpsc::unbounded_channel();
        tokio::spawn(axum::serve(listener, app(told)).into_future());
        Self { url, closes }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

fn app(told: UnboundedSender<u16>) -> Router {
    let echo = async |ws: WebSocketUpgrade| ws.on_upgrade(move |socket| echo(socket, told));
    Router::new()
        .route("/echo", any(echo))
        .route("/kinds", any(async |ws: WebSocketUpgrade| ws.on_upgrade(kinds)))
        .route("/request", any(request))
        .route("/close/{code}", any(close))
        .route("/lost", any(async |ws: WebSocketUpgrade| ws.on_upgrade(async |socket: WebSocket| socket.abort())))
        .route("/refused", get(async || (StatusCode::UNAUTHORIZED, "no token\n")))
}

/// Answers each line, and the Close.
pub(crate) async fn echo(mut socket: WebSocket, told: UnboundedSender<u16>) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Close(frame) = message {
            let _ = told.send(frame.map_or(1005, |frame| frame.code));
        } else if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Says what kind of message came, and with how many bytes.
async fn kinds(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let kind = match &message {
            Message::Text(text) => format!("text {}", text.len()),
            Message::Binary(data) => format!("binary {}", data.len()),
            _ => continue,
        };
        socket.send(Message::text(kind)).await.unwrap();
    }
}

/// Sends the request's headers.
async fn request(ws: WebSocketUpgrade, headers: HeaderMap) -> Response {
    let ws = ws.protocols(["chat.v1"]).compression(Compression::new());
    ws.on_upgrade(async move |mut socket: WebSocket| {
        for (name, value) in &headers {
            socket.send(Message::text(format!("{name}: {}", value.to_str().unwrap()))).await.unwrap();
        }
        socket.close().await.unwrap();
    })
}

async fn close(Path(code): Path<u16>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(async move |mut socket: WebSocket| {
        socket.send(Message::text("before")).await.unwrap();
        socket.close_with(code, "a\nreason").await.unwrap();
    })
}
