//! Nodes in processes of their own, which are killed, stopped, cut off, and whose clocks are wrong. Each process is this program with
//! other arguments; a test talks to it over its standard input and output.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod line_10;
mod line_7;
mod node;
mod process;
mod runner;
#[path = "../support/mod.rs"]
mod support;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some(process::ARGUMENT), Some(url)) => process::run(&url),
        _ => runner::run(),
    }
}
