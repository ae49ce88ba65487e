//! Messages → the transmit queue, and its slices.

use std::io::IoSlice;

use divan::{Bencher, black_box, counter::BytesCount};
use sockeye_proto::{Encoder, Message};

use crate::{KEY, SIZES, binary};

// Samples are small: all messages of a sample are made first, and should be in the cache, as those of a handler are. At 1
// MiB they are not, and most of the result is the allocator's time, which gives their pages back to the system.

#[divan::bench(args = SIZES, sample_count = 1000, sample_size = 16)]
fn of_server(bencher: Bencher<'_, '_>, size: usize) {
    encode(bencher, size, Encoder::server());
}

/// A client has to mask.
#[divan::bench(args = SIZES, sample_count = 1000, sample_size = 16)]
fn of_client(bencher: Bencher<'_, '_>, size: usize) {
    encode(bencher, size, Encoder::client(Box::new(|| KEY)));
}

fn encode(bencher: Bencher<'_, '_>, size: usize, mut encoder: Encoder) {
    let payload = binary(size);
    // The message is made before the measurement, and moved in it.
    bencher.counter(BytesCount::new(size)).with_inputs(|| Message::Binary(payload.clone())).bench_local_values(
        |message| {
            encoder.use_pooled_buffer();
            encoder.encode(message).expect("the connection is open");
            let mut slices = [IoSlice::new(&[]); 4];
            let used = encoder.slices(&mut slices);
            black_box(&slices[..used]);
            encoder.advance(encoder.buffered());
        },
    );
}
