//! An open connection: lines go out, messages come in, until both ends have closed.

use std::io::{self, ErrorKind};

use anyhow::{Context, anyhow};
use sockeye::{
    CloseCode, Ended, Message, ReceiveHalf, SendHalf, Sender,
    client::Opened,
    close_code::{AWAY, NORMAL},
};
use tokio::sync::mpsc;

use crate::{
    options::Options,
    terminal::{self, harmless},
};

/// Talks until the connection has ended. Fails if stdin or stdout does; the connection is closed then, too.
pub(crate) async fn run(opened: Opened, options: &Options) -> anyhow::Result<Ended> {
    let mut input = Ok(());
    let (printer, printing) = terminal::printer();
    let ended = opened
        .serve(async |socket| {
            let (send, receive) = socket.into_split();
            let asked = send.sender();
            let receiving = print(receive, printer, options, send.sender());
            // Each direction waits for nothing but its own peer: a server that reads nothing while it writes is not stuck.
            tokio::select! {
                () = receiving => {}
                never = interrupted(&asked) => match never {},
                never = feed(send, options, &mut input) => match never {},
            }
        })
        .await;
    let printed = printing.join().map_err(|_| anyhow!("the thread for stdout has panicked"))?;
    match printed {
        // As for `| head -1`: who reads has enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        printed => printed.context("writing to stdout")?,
    }
    input?;
    Ok(ended)
}

/// What never comes.
enum Never {}

/// Sends lines. After the last one it closes, unless that is not wanted, and keeps its half until the connection has ended.
async fn feed(send: SendHalf, options: &Options, result: &mut anyhow::Result<()>) -> Never {
    let mut lines = terminal::lines();
    let mut number = 0_u64;
    while let Some(line) = lines.recv().await {
        number += 1;
        match message(line, number, options.binary) {
            // The other half learns why nothing can be sent.
            Ok(message) => drop(send.send(message).await),
            Err(error) => {
                *result = Err(error);
                close(&send.sender(), AWAY);
                return std::future::pending().await;
            }
        }
    }
    if options.enough().is_none() && !options.keep_open {
        close(&send.sender(), options.close);
    }
    std::future::pending().await
}

/// The message for a line.
fn message(line: io::Result<Vec<u8>>, number: u64, binary: bool) -> anyhow::Result<Message> {
    let line = line.context("reading from stdin")?;
    if binary {
        return Ok(Message::binary(line));
    }
    let text =
        String::from_utf8(line).map_err(|_| anyhow!("line {number} of stdin is not UTF-8; send it with --binary"))?;
    Ok(Message::text(text))
}

/// Prints messages until the connection has ended.
async fn print(mut receive: ReceiveHalf, printer: mpsc::Sender<Vec<u8>>, options: &Options, sender: Sender) {
    let (mut printed, mut is_enough) = (0_u64, false);
    loop {
        let message = tokio::select! {
            message = receive.recv() => message,
            // Who reads stdout has gone.
            () = printer.closed(), if !is_enough => {
                is_enough = true;
                close(&sender, NORMAL);
                continue;
            }
        };
        let Some(Ok(message)) = message else { break };
        let payload = match message {
            Message::Text(text) => text.into_bytes(),
            Message::Binary(data) => data,
            Message::Ping(data) if options.verbose => {
                eprintln!("< Ping {}", harmless(&data));
                continue;
            }
            Message::Pong(data) if options.verbose => {
                eprintln!("< Pong {}", harmless(&data));
                continue;
            }
            _ => continue,
        };
        // If that fails, `closed` has the next turn.
        if !is_enough && printer.send(payload).await.is_ok() {
            printed += 1;
            is_enough = options.enough() == Some(printed);
            if is_enough {
                close(&sender, NORMAL);
            }
        }
    }
}

/// Closes at the first Ctrl-C, and ends the connection without waiting at the second.
async fn interrupted(sender: &Sender) -> Never {
    // Without the signal, Ctrl-C ends the program as usual.
    if tokio::signal::ctrl_c().await.is_ok() {
        close(sender, AWAY);
        if tokio::signal::ctrl_c().await.is_ok() {
            sender.abort();
        }
    }
    std::future::pending().await
}

/// Begins the close handshake.
fn close(sender: &Sender, code: CloseCode) {
    // The only error is a code that cannot be sent, which the arguments do not have.
    let _ = sender.close_with(code, "");
}
