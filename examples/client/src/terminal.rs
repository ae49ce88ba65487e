//! stdin and stdout, each on a thread of its own, so that neither keeps the connection from answering Pings.

use std::{
    io::{self, BufRead, BufWriter, IsTerminal, Write},
    thread::{self, JoinHandle},
};

use sockeye::client::Opened;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// How many lines, or messages, may wait: enough that a thread is not woken for each.
const WAITING: usize = 64;

/// The lines of stdin, without their ends. The thread is left behind when the program ends: nothing interrupts a read.
pub(crate) fn lines() -> Receiver<io::Result<Vec<u8>>> {
    let (lines, receiver) = mpsc::channel(WAITING);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = input.read_until(b'\n', &mut line);
            if matches!(read, Ok(0)) {
                break;
            }
            let is_last = read.is_err();
            let line = read.map(|_| without_end(line));
            if lines.blocking_send(line).is_err() || is_last {
                break;
            }
        }
    });
    receiver
}

/// The line without `\n` or `\r\n`.
fn without_end(mut line: Vec<u8>) -> Vec<u8> {
    let text = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(&line);
    line.truncate(text.len());
    line
}

/// Prints messages, until the sender is dropped or stdout is closed. The thread returns why printing has failed.
pub(crate) fn printer() -> (Sender<Vec<u8>>, JoinHandle<io::Result<()>>) {
    let (sender, mut messages) = mpsc::channel::<Vec<u8>>(WAITING);
    let thread = thread::spawn(move || {
        let is_terminal = io::stdout().is_terminal();
        let mut output = BufWriter::new(io::stdout().lock());
        while let Some(mut message) = messages.blocking_recv() {
            loop {
                if is_terminal {
                    message = harmless(&message).into_bytes();
                }
                output.write_all(&message)?;
                output.write_all(b"\n")?;
                match messages.try_recv() {
                    Ok(next) => message = next,
                    Err(_) => break,
                }
            }
            output.flush()?;
        }
        Ok(())
    });
    (sender, thread)
}

/// The text for a terminal, which would obey the control characters of the server.
pub(crate) fn harmless(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' && character != '\t' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Prints the head of the server's answer to stderr.
pub(crate) fn show_answer(opened: &Opened) {
    let response = opened.response();
    eprintln!("< {:?} {}", response.version(), response.status());
    for (name, value) in response.headers() {
        eprintln!("< {name}: {}", harmless(value.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_loses_its_end_and_nothing_else() {
        for (line, text) in [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\r", "a\r"), ("\n", ""), ("a\n\n", "a\n")] {
            assert_eq!(without_end(line.into()), text.as_bytes());
        }
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(harmless(b"a\tb\nc"), "a\tb\nc");
        assert_eq!(harmless("é \u{1b}[2J\r\u{9b}".as_bytes()), "é \\u{1b}[2J\\r\\u{9b}");
        assert_eq!(harmless(b"\xff"), "\u{fffd}");
    }
}
