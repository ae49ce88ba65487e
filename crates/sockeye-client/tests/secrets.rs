//! Credentials are in no log, and in no error.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    io,
    sync::{Arc, Mutex},
};

use common::{echo, echoes, pipes, read_head};
use sockeye_client::{ClientRequest, Proxy};
use tokio::io::AsyncWriteExt;

/// What is logged, of all levels.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The password, and the base64 of `user:p4ssw0rd`; the token, which is in the query too.
const SECRETS: [&str; 3] = ["p4ssw0rd", "dXNlcjpwNHNzdzByZA", "t0ken"];

fn request() -> ClientRequest {
    ClientRequest::new("ws://server.example/?t0ken").bearer("t0ken").header("Cookie", "t0ken")
}

#[tokio::test]
async fn credentials_are_in_no_log_and_in_no_error() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    for status in [200, 407] {
        let (client, mut dialed) = pipes();
        let client = client.proxy(Proxy::new("http://user:p4ssw0rd@proxy.example")).build();
        let proxy = async {
            let mut stream = dialed.recv().await.unwrap().stream;
            let head = read_head(&mut stream).await;
            assert!(head.contains(SECRETS[1]), "{head}");
            stream.write_all(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes()).await.unwrap();
            if status == 200 {
                drop(echo(stream));
            }
        };
        let (socket, ()) = tokio::join!(client.connect(request()), proxy);
        let shown = match socket {
            Ok(mut socket) => {
                echoes(&mut socket).await;
                format!("{socket:?} {client:?} {:?}", request())
            }
            Err(error) => format!("{error} {error:?} {client:?}"),
        };
        let shown = format!("{shown} {}", log.text());
        assert!(shown.contains("server.example"), "{shown}");
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
    assert!(log.text().contains("connected"), "{}", log.text());
}
