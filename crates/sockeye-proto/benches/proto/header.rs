//! The cost of a frame apart from its payload.

use divan::{Bencher, black_box, counter::ItemsCount};
use sockeye_proto::{Config, Decoder, Encoder, Message, Role};

use crate::KEY;

/// Frames in a round, like pipelined messages.
const FRAMES: usize = 64;

/// Masked headers, of two bytes and the key.
#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let mut client = Encoder::client(Box::new(|| KEY));
    for _ in 0..FRAMES {
        client.encode(Message::Binary(Vec::new())).expect("the connection is open");
    }
    let wire = client.take_bytes();
    let mut decoder = Decoder::new(Role::Server, Config::default());
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        let mut input = black_box(&wire[..]);
        while let Ok(Some(message)) = decoder.decode(&mut input) {
            drop(black_box(message));
        }
    });
}

#[divan::bench]
fn format(bencher: Bencher<'_, '_>) {
    let mut server = Encoder::server();
    server.use_pooled_buffer();
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for _ in 0..FRAMES {
            server.encode(black_box(Message::Binary(Vec::new()))).expect("the connection is open");
        }
        server.advance(black_box(server.buffered()));
        server.use_pooled_buffer();
    });
}
