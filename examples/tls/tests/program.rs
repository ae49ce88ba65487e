//! The program, with the signals of Unix.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{fs, net::SocketAddr, process::Stdio};

use common::{Files, Trust, certificate, closed, echo, made, open};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{Child, Command},
};

/// Reads until a line with this text.
async fn line(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, text: &str) -> String {
    loop {
        let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("the output ended without `{text}`"));
        if line.contains(text) {
            return line;
        }
    }
}

fn send(program: &Child, signal: Signal) {
    kill_process(Pid::from_raw(program.id().unwrap().try_into().unwrap()).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn a_hangup_reads_the_files_again_and_a_broken_file_is_logged() {
    let (old, new) = (made(), made());
    let files = Files::with("program", &old);
    let mut program = Command::new(env!("CARGO_BIN_EXE_example-tls"))
        .args(["--addr", "127.0.0.1:0", "--cert"])
        .arg(&files.certificate)
        .arg("--key")
        .arg(&files.key)
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut output = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut log = BufReader::new(program.stderr.take().unwrap()).lines();
    let listening = line(&mut output, "listening on https://").await;
    let addr: SocketAddr = listening.rsplit('/').next().unwrap().parse().unwrap();

    let connector = Trust::new(&[&old, &new]).connector();
    let mut client = open(addr, &connector).await;
    echo(&mut client).await;
    assert_eq!(certificate(client.get_ref()), *old.cert.der());

    fs::write(&files.key, "no key").unwrap();
    send(&program, Signal::HUP);
    let told = line(&mut log, "the old certificate stays").await;
    assert!(told.contains("ERROR") && told.contains("key.pem"), "{told}");
    assert_eq!(certificate(open(addr, &connector).await.get_ref()), *old.cert.der());

    files.replace(&new);
    send(&program, Signal::HUP);
    line(&mut log, "new connections get the new certificate").await;
    assert_eq!(certificate(open(addr, &connector).await.get_ref()), *new.cert.der());
    echo(&mut client).await;

    send(&program, Signal::TERM);
    assert_eq!(closed(client).await, 1001);
    line(&mut output, "1 closed, 0 lost, 0 aborted").await;
    assert!(program.wait().await.unwrap().success());
}
