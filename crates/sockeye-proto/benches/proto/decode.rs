//! Received bytes → messages: header, allocation, unmasking, validation, and the end of the message.

use divan::{Bencher, black_box, counter::BytesCount};
use sockeye_proto::{Config, Decoder, Encoder, Message, Role};

use crate::{KEY, SIZES, ascii, binary, mixed};

/// What one read yields of a large message.
const READ: usize = 64 << 10;

#[divan::bench(args = SIZES)]
fn of_binary(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, size, Message::Binary(binary(size)));
}

#[divan::bench(args = SIZES)]
fn of_ascii(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, size, Message::Text(ascii(size)));
}

#[divan::bench(args = SIZES)]
fn of_mixed(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, size, Message::Text(mixed(size)));
}

fn decode(bencher: Bencher<'_, '_>, size: usize, message: Message) {
    let mut client = Encoder::client(Box::new(|| KEY));
    client.encode(message).expect("the connection is open");
    let wire = client.take_bytes();
    let mut decoder = Decoder::new(Role::Server, Config::default());
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        for mut input in black_box(&wire).chunks(READ) {
            while let Ok(Some(message)) = decoder.decode(&mut input) {
                drop(black_box(message));
            }
        }
    });
}
