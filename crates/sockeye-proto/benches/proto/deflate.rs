//! Compressing and inflating, by the length of a message: JSON, as applications send it.

use divan::{Bencher, black_box, counter::BytesCount};
use sockeye_proto::deflate::{Compression, Memory, Parameters};
use sockeye_proto::{Config, Decoder, Encoder, Message, Role};

const SIZES: [usize; 4] = [100, 1 << 10, 16 << 10, 1 << 20];

/// A setting, and its name in the output.
#[derive(Clone, Copy)]
struct Setting {
    name: &'static str,
    memory: Memory,
    level: u8,
}

const SETTINGS: [Setting; 6] = [
    Setting { name: "low, level 1", memory: Memory::Low, level: 1 },
    Setting { name: "low, level 3", memory: Memory::Low, level: 3 },
    Setting { name: "low, level 6", memory: Memory::Low, level: 6 },
    Setting { name: "low, level 9", memory: Memory::Low, level: 9 },
    Setting { name: "balanced, level 3", memory: Memory::Balanced, level: 3 },
    Setting { name: "best, level 3", memory: Memory::Best, level: 3 },
];

/// Prints the average size of the messages on the wire: of a hundred that are similar.
pub(crate) fn print_sizes() {
    println!("bytes on the wire of messages of {SIZES:?} bytes of JSON:");
    for setting in SETTINGS {
        let sizes = SIZES.map(|size| {
            let mut encoder = setting.encoder();
            let count = if size < 1 << 20 { 100 } else { 5 };
            (0..count).for_each(|round| encoder.encode(Message::text(json(size, round))).expect("it is open"));
            encoder.take_bytes().len() / count
        });
        println!("  {:<18} {sizes:?}", setting.name);
    }
}

impl Setting {
    fn compression(&self) -> Compression {
        Compression::new().memory(self.memory).level(self.level).threshold(0)
    }

    fn encoder(&self) -> Encoder {
        Encoder::server().with_extension(Parameters::default().encoder(Role::Server, &self.compression()))
    }
}

/// JSON about a few ships. No two rounds are the same, and all are similar.
fn json(size: usize, round: usize) -> String {
    let mut text = String::with_capacity(size + 100);
    let mut state = round as u64 + 1;
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (a, b, c) = (state >> 40, state >> 50 & 0xFFF, state >> 33 & 0xFF);
        text += &format!(
            r#"{{"id":{a},"name":"vessel-{c}","position":{{"lat":{}.{a},"lon":-{}.{b}}},"speed":{b},"open":{}}},"#,
            40 + c % 20,
            100 + c % 30,
            c % 3 == 0
        );
    }
    text.truncate(size);
    text
}

/// So many texts that a window does not hold them all.
fn texts(size: usize) -> Vec<String> {
    (0..(64 << 10) / size.min(4 << 10)).map(|round| json(size, round)).collect()
}

/// Encodes on this many connections in turn.
fn encode(bencher: Bencher<'_, '_>, size: usize, setting: Setting, connections: usize) {
    let texts = texts(size);
    let mut encoders: Vec<Encoder> = (0..connections).map(|_| setting.encoder()).collect();
    let (mut next, mut turn) = (texts.iter().cycle(), 0);
    let message = || Message::text(next.next().expect("it goes on for ever"));
    bencher.counter(BytesCount::new(size)).with_inputs(message).bench_local_values(|message| {
        turn = (turn + 1) % connections;
        let encoder = &mut encoders[turn];
        encoder.use_pooled_buffer();
        encoder.encode(message).expect("the connection is open");
        black_box(encoder.single());
        encoder.advance(encoder.buffered());
    });
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 16)]
fn compress_low_1(bencher: Bencher<'_, '_>, size: usize) {
    encode(bencher, size, SETTINGS[0], 1);
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 16)]
fn compress_low_3(bencher: Bencher<'_, '_>, size: usize) {
    encode(bencher, size, SETTINGS[1], 1);
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 16)]
fn compress_low_6(bencher: Bencher<'_, '_>, size: usize) {
    encode(bencher, size, SETTINGS[2], 1);
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 16)]
fn compress_balanced_3(bencher: Bencher<'_, '_>, size: usize) {
    encode(bencher, size, SETTINGS[4], 1);
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 16)]
fn compress_best_3(bencher: Bencher<'_, '_>, size: usize) {
    encode(bencher, size, SETTINGS[5], 1);
}

/// With context takeover, on so many connections in turn that none finds its compressor again.
#[divan::bench(args = SIZES, sample_count = 200, sample_size = 16)]
fn compress_balanced_3_of_many(bencher: Bencher<'_, '_>, size: usize) {
    encode(bencher, size, SETTINGS[4], 16);
}

fn decode(bencher: Bencher<'_, '_>, size: usize, agreed: Parameters) {
    let setting = SETTINGS[1];
    let mut encoder = Encoder::client(Box::new(|| crate::KEY))
        .with_extension(Parameters::default().encoder(Role::Client, &setting.compression()));
    encoder.encode(Message::text(json(size, 1))).expect("it is open");
    let wire = encoder.take_bytes();
    let mut decoder = Decoder::new(Role::Server, Config::default())
        .with_extension(agreed.decoder(Role::Server, &setting.compression()));
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let message = decoder.decode(&mut &wire[..]).expect("it is valid").expect("it is whole");
        message.recycle();
    });
}

#[divan::bench(args = SIZES, sample_count = 200, sample_size = 16)]
fn inflate(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, size, Parameters { client_no_context_takeover: true, ..Parameters::default() });
}

/// With context takeover and a window of 32 KiB.
#[divan::bench(args = SIZES, sample_count = 200, sample_size = 16)]
fn inflate_with_context(bencher: Bencher<'_, '_>, size: usize) {
    decode(bencher, size, Parameters::default());
}
