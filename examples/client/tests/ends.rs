//! How the program ends: its exit status, and what it says on stderr.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{fs, sync::Arc};

use common::{Ran, Server, program, ran, run};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

fn says(ran: &Ran, status: i32, texts: &[&str]) {
    assert_eq!(ran.status, Some(status), "{ran:?}");
    for text in texts {
        assert!(ran.stderr.contains(text), "no `{text}` in\n{}", ran.stderr);
    }
}

#[tokio::test]
async fn the_code_of_the_servers_close_decides_the_exit_status() {
    let server = Server::start().await;
    for (code, status) in [(1000, 0), (1001, 0), (1008, 18), (1011, 21), (1013, 23), (3000, 30), (4321, 40)] {
        let ran = run(&[&server.url(&format!("/close/{code}")), "--keep-open"], b"").await;
        let text = format!(r"the server closed with {code} (a\nreason)");
        says(&ran, status, &[if status == 0 { "" } else { text.as_str() }]);
        assert_eq!(ran.stdout, b"before\n");
        assert_eq!(ran.stderr.is_empty(), status == 0, "{}", ran.stderr);
    }
    says(&run(&[&server.url("/lost"), "--keep-open"], b"").await, 16, &["the connection was lost"]);
}

#[tokio::test]
async fn a_code_of_ones_own_reaches_the_server() {
    let mut server = Server::start().await;
    assert_eq!(run(&[&server.url("/echo"), "--close", "4007"], b"last\n").await.output(), "last\n");
    assert_eq!(server.closes.recv().await, Some(4007));
    says(&run(&[&server.url("/echo"), "--close", "1006"], b"").await, 2, &["no end may send it"]);
}

#[tokio::test]
async fn a_connection_that_fails_says_whom_to_blame() {
    let server = Server::start().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let down = nobody.local_addr().unwrap();
    drop(nobody);

    says(&run(&["ftp://server.example/"], b"").await, 2, &["ftp", "to blame: the arguments"]);
    says(&run(&[&server.url("/echo"), "-H", "no colon"], b"").await, 2, &["--header has no colon"]);
    says(&run(&[&server.url("/echo"), "--roots", "no/such/file"], b"").await, 2, &["no/such/file", "--roots"]);
    says(&run(&[&format!("ws://{down}/")], b"").await, 3, &[&down.to_string(), "to blame: the network"]);
    let proxy = format!("http://{down}");
    says(&run(&[&server.url("/echo"), "--proxy", &proxy], b"").await, 4, &["to blame: the proxy"]);
    says(&run(&[&server.url("/refused")], b"").await, 5, &["401", "no token", "to blame: the server"]);
    says(&run(&[&server.url("/echo"), "--protocol", "chat.v9"], b"").await, 5, &["to blame: the server"]);
}

#[tokio::test]
async fn a_server_that_never_answers_the_close_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let child = program(&[&url]).spawn().unwrap();
    let ends = async {
        let mut stream = listener.accept().await.unwrap().0;
        let head = head(&mut stream).await;
        let key = head.lines().find(|line| line.to_lowercase().starts_with("sec-websocket-key"));
        let key = key.unwrap().split_once(": ").unwrap().1;
        let accept = sockeye::handshake::key::Key::parse(&key.parse().unwrap()).unwrap().accept();
        let answer = format!(
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            accept.to_str().unwrap()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        // The Close, and then the end of the stream instead of an answer.
        let mut close = [0; 8];
        stream.read_exact(&mut close).await.unwrap();
        assert_eq!(close[0], 0x88);
    };
    let (ran, ()) = tokio::join!(
        async move {
            let mut child = child;
            drop(child.stdin.take());
            ran(child).await
        },
        ends
    );
    says(&ran, 16, &["has not answered the Close"]);
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_proxy_is_used_even_for_this_machine_if_it_is_named() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://user:password@{}", listener.local_addr().unwrap());
    let serve = tokio::spawn(async move {
        let mut client = listener.accept().await.unwrap().0;
        let head = head(&mut client).await;
        let mut server = TcpStream::connect(head.split(' ').nth(1).unwrap()).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
        head
    });
    assert_eq!(run(&[&server.url("/echo"), "--proxy", &proxy], b"through\n").await.output(), "through\n");
    assert!(serve.await.unwrap().to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnzd29yza=="));
    assert_eq!(run(&[&server.url("/echo"), "--proxy", "none"], b"around\n").await.output(), "around\n");
}

#[tokio::test]
async fn roots_decide_which_certificate_is_trusted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let roots = std::env::temp_dir().join(format!("example-client-{}.pem", std::process::id()));
    fs::write(&roots, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key).unwrap()));
    let behind = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = behind.url.replacen("ws://", "", 1);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut server = TcpStream::connect(&to).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut server).await;
        }
    });
    let url = |host: &str| format!("wss://{host}:{port}/echo");
    let file = roots.to_str().unwrap();
    assert_eq!(run(&[&url("localhost"), "--roots", file], b"secure\n").await.output(), "secure\n");
    says(&run(&[&url("127.0.0.1"), "--roots", file], b"").await, 5, &["another name", "to blame: the server"]);
    let untrusted =
        program(&[&url("localhost")]).env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null").spawn();
    says(&ran(untrusted.unwrap()).await, 2, &["no trusted root certificates"]);
    fs::remove_file(roots).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_closes_and_prints_what_still_comes() {
    use rustix::process::{Pid, Signal, kill_process};
    use tokio::io::{AsyncBufReadExt, BufReader};

    let mut server = Server::start().await;
    let mut child = program(&[&server.url("/echo")]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"here\n").await.unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).await.unwrap();
    assert_eq!(line, "here\n");
    // stdin stays open, as at a terminal.
    kill_process(Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap(), Signal::INT).unwrap();
    assert_eq!(server.closes.recv().await, Some(1001));
    let ran = ran(child).await;
    assert_eq!((ran.status, &*ran.stderr), (Some(0), ""));
    drop(stdin);
}
