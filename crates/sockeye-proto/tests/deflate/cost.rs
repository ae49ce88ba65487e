//! The cost of a message: its memory, by an allocator that counts, and the rules against messages that are only costly.

use super::*;
use allocation_counter::{AllocationInfo, measure};
use flate2::{Compress, FlushCompress};
use sockeye_proto::{Limit, Violation, close_code};

const MIB: usize = 1 << 20;

/// This many zeros, compressed 1000:1.
fn zeros(count: usize) -> Vec<u8> {
    let mut compress = Compress::new(flate2::Compression::best(), false);
    let (mut payload, chunk) = (Vec::with_capacity(count / 900 + 1000), vec![0; MIB]);
    let mut left = count;
    while left > 0 {
        let now = left.min(chunk.len());
        let flush = if left == now { FlushCompress::Sync } else { FlushCompress::None };
        compress.compress_vec(&chunk[..now], &mut payload, flush).unwrap();
        left -= now;
    }
    payload.truncate(payload.len() - 4);
    payload
}

fn limited(max: usize) -> Config {
    Config::new().max_message_size(max)
}

fn decoder_without_ratio(config: &Config) -> Decoder {
    let compression = Compression::new().max_ratio(u32::MAX);
    Decoder::new(Role::Server, config).with_extension(Parameters::default().decoder(Role::Server, &compression))
}

/// The result and the cost of decoding, in a thread that has lent nothing yet.
fn cost(mut decoder: Decoder, wire: Vec<u8>) -> (Result<usize, Error>, AllocationInfo) {
    let work = move || {
        let mut outcome = Ok(0);
        let info = measure(|| {
            for piece in wire.chunks(64 << 10) {
                match decode(&mut decoder, piece) {
                    Ok(messages) => outcome = Ok(messages.iter().map(Message::len).sum()),
                    Err(error) => return outcome = Err(error),
                }
            }
        });
        (outcome, info)
    };
    std::thread::spawn(work).join().unwrap()
}

fn too_large(max: usize) -> Error {
    Error::Limit { what: Limit::MessageSize, max, got: max as u64 + 1 }
}

fn fragments(payload: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Frame::binary([]).rsv(COMPRESSED).fin(false).bytes();
    payload.chunks(size).for_each(|part| wire.extend(Frame::continuation(part).fin(false).bytes()));
    wire.extend(Frame::continuation([]).bytes());
    wire
}

#[test]
fn a_decompression_bomb_takes_no_more_memory_than_the_message_limit_and_a_mebibyte() {
    let bomb = zeros(200 * MIB);
    assert!(bomb.len() < 220 << 10);
    for max in [0, 1, 1000, 64 << 10, MIB, 10 * MIB, 64 * MIB] {
        for wire in [Frame::binary(&*bomb).rsv(COMPRESSED).bytes(), fragments(&bomb, 1000), fragments(&bomb, 50_000)] {
            let (outcome, info) = cost(decoder_without_ratio(&limited(max)), wire);
            assert_eq!(outcome, Err(too_large(max)));
            assert_eq!(outcome.unwrap_err().close_code(), close_code::SIZE);
            assert!(info.bytes_max <= (max + MIB) as u64, "{max}: {info:?}");
        }
    }
}

#[test]
fn an_inflated_message_of_the_limit_passes_and_one_byte_more_does_not() {
    for size in [1000, 70_000, 5 * MIB] {
        let payload = zeros(size);
        for wire in [Frame::binary(&*payload).rsv(COMPRESSED).bytes(), fragments(&payload, 700)] {
            assert_eq!(cost(decoder_without_ratio(&limited(size)), wire.clone()).0, Ok(size));
            assert_eq!(cost(decoder_without_ratio(&limited(size - 1)), wire).0, Err(too_large(size - 1)));
        }
    }
}

#[test]
fn the_message_limit_applies_to_the_inflated_message_and_not_to_the_compressed_one() {
    // Stored blocks make the compressed message longer.
    let data = noise(1000, 1);
    let mut payload = Vec::new();
    for part in data.chunks(10) {
        payload.extend([0, 10, 0, 0xF5, 0xFF]);
        payload.extend(part);
    }
    payload.push(0);
    assert!(payload.len() > 1400);
    for wire in [Frame::binary(&*payload).rsv(COMPRESSED).bytes(), fragments(&payload, 33)] {
        assert_eq!(cost(decoder_without_ratio(&limited(1000)), wire).0, Ok(1000));
    }
}

#[test]
fn a_compression_ratio_beyond_the_limit_ends_the_connection() {
    let config = limited(usize::MAX);
    for wire in [Frame::binary(zeros(50 * MIB)).rsv(COMPRESSED).bytes(), fragments(&zeros(50 * MIB), 999)] {
        let (outcome, info) = cost(decoder(Parameters::default(), &config), wire);
        assert_eq!(outcome, Err(Violation::CompressionRatio.into()));
        assert_eq!(outcome.unwrap_err().close_code(), close_code::POLICY);
        assert!(info.bytes_max < 4 * MIB as u64, "{info:?}");
    }
    // The first mebibyte is free.
    let wire = Frame::binary(zeros(MIB)).rsv(COMPRESSED).bytes();
    assert_eq!(cost(decoder(Parameters::default(), &config), wire).0, Ok(MIB));
}

/// A bomb behind much data of a low ratio, where the guards are checked less often.
#[test]
fn a_message_exceeds_its_compression_ratio_by_no_more_than_a_mebibyte_wherever_the_bomb_is() {
    for before in [0, 10_000, 400_000] {
        let start = Peer::new(true).flush(&noise(before + 1, 1));
        let permitted = MIB + 2 * start.len();
        let payload = [start, zeros(50 * MIB)].concat();
        let compression = Compression::new().max_ratio(2);
        for wire in [Frame::binary(&*payload).rsv(COMPRESSED).bytes(), fragments(&payload, 999)] {
            let decoder = Decoder::new(Role::Server, limited(usize::MAX))
                .with_extension(Parameters::default().decoder(Role::Server, &compression));
            let (outcome, info) = cost(decoder, wire);
            assert_eq!(outcome, Err(Violation::CompressionRatio.into()));
            // The last piece, the decompressor and the buffers take memory as well.
            assert!(info.bytes_max < (permitted + 2 * MIB) as u64, "{before}: {info:?}");
        }
    }
}

/// Endless blocks that hold nothing: the processor works, and no size limit is near.
#[test]
fn a_compressed_message_that_yields_almost_nothing_ends_the_connection() {
    let stored = [0x00, 0x00, 0x00, 0xFF, 0xFF].repeat(3 * MIB / 5);
    // A final block without data, and its padding.
    let finals = [0x03, 0x00].repeat(MIB);
    // As above, but a few blocks hold data.
    let mut sparse = Vec::new();
    for _ in 0..3000 {
        sparse.extend([0x00, 0x00, 0x00, 0xFF, 0xFF].repeat(210));
        sparse.extend([0x00, 0x01, 0x00, 0xFE, 0xFF, b'x']);
    }
    for payload in [stored, finals, sparse] {
        for wire in [Frame::binary(&*payload).rsv(COMPRESSED).bytes(), fragments(&payload, 5000)] {
            let (outcome, info) = cost(decoder(Parameters::default(), &Config::default()), wire);
            assert_eq!(outcome, Err(Violation::CompressionWork.into()));
            assert_eq!(outcome.unwrap_err().close_code(), close_code::POLICY);
            assert!(info.bytes_max < MIB as u64, "{info:?}");
        }
    }
}

/// A message that is compressed once more inside: the inflated bytes are the message, and are not inflated again.
#[test]
fn a_payload_that_was_compressed_twice_is_inflated_once() {
    let inner = zeros(50 * MIB);
    let outer = Peer::new(true).deflate(&inner);
    let wire = Frame::binary(outer).rsv(COMPRESSED).bytes();
    let (outcome, info) = cost(decoder(Parameters::default(), &Config::default()), wire);
    assert_eq!(outcome, Ok(inner.len()));
    assert!(info.bytes_max < MIB as u64, "{info:?}");
}

#[test]
fn compressed_fragments_of_one_byte_each_do_not_count_as_work_for_nothing() {
    let text = json(100, 1);
    let mut peer = Peer::new(true);
    let mut flushed: Vec<u8> = text.bytes().flat_map(|byte| peer.flush(&[byte])).collect();
    flushed.truncate(flushed.len() - 4);
    for payload in [flushed, Peer::new(true).deflate(text.as_bytes())] {
        let outcome = cost(decoder(Parameters::default(), &Config::default()), fragments(&payload, 1)).0;
        assert_eq!(outcome, Ok(text.len()));
    }
}

/// A peer that sends a little of a message and waits is lent no decompressor.
#[test]
fn a_compressed_message_that_has_just_begun_holds_only_the_bytes_that_arrived() {
    for sent in [1, 100, 10_000] {
        let payload = noise(sent, 1);
        let wire = Frame::binary(payload).declared_len(MIB as u64).rsv(COMPRESSED).bytes();
        let mut decoder = decoder(Parameters::default(), &Config::default());
        let info = measure(|| assert_eq!(decode(&mut decoder, &wire), Ok(vec![])));
        // The buffer for unmasking goes back to the thread.
        let held = info.bytes_current - (64 << 10);
        assert!(held <= sent as i64 * 4 + 512, "{sent}: {info:?}");
    }
}

/// An abandoned message, of which no more will come, takes nothing.
#[test]
fn an_abandoned_compressed_message_holds_no_memory() {
    let payload = Peer::new(true).deflate(&noise(200_000, 1));
    let mut wire = Frame::binary(payload).rsv(COMPRESSED).bytes();
    wire.truncate(100_000);
    let mut decoder = decoder(Parameters::default(), &Config::default());
    // What the thread lends has been lent before.
    let mut other = super::decoder(Parameters::default(), &Config::default());
    assert_eq!(decode(&mut other, &wire), Ok(vec![]));
    other.abandon();
    let info = measure(|| {
        assert_eq!(decode(&mut decoder, &wire), Ok(vec![]));
        decoder.abandon();
    });
    assert!(info.bytes_current <= 0, "{info:?}");
}

#[test]
fn a_compressed_connection_holds_at_most_a_window_between_messages() {
    for (memory, window) in [(Memory::Low, 0), (Memory::Balanced, 4 << 10), (Memory::Best, 32 << 10)] {
        let agreed = match memory {
            Memory::Low => no_takeover(),
            Memory::Balanced => Parameters {
                server_max_window_bits: memory.window_bits(),
                client_max_window_bits: memory.window_bits(),
                ..Parameters::default()
            },
            Memory::Best => Parameters::default(),
        };
        let compression = Compression::new().memory(memory);
        let mut peers: Vec<Peer> = (0..20).map(|_| Peer::with_window(true, memory.window_bits().bits())).collect();
        let texts: Vec<String> = (0..10).map(|round| json(200, round)).collect();
        let wires: Vec<Vec<u8>> = peers
            .iter_mut()
            .flat_map(|peer| texts.iter().map(|text| compressed(&peer.deflate(text.as_bytes())).bytes()))
            .collect();
        let wires = if memory == Memory::Low {
            let mut peer = Peer::new(false);
            let wire: Vec<_> = texts.iter().map(|text| compressed(&peer.deflate(text.as_bytes())).bytes()).collect();
            wire.into_iter().cycle().take(wires.len()).collect()
        } else {
            wires
        };
        let work = || {
            let mut connections = Vec::with_capacity(20);
            let mut wires = wires.iter();
            let mut open = |count| {
                for _ in 0..count {
                    let mut decoder = Decoder::new(Role::Server, Config::shared())
                        .with_extension(agreed.decoder(Role::Server, &compression));
                    let mut encoder = encoder(agreed, compression);
                    for wire in wires.by_ref().take(10) {
                        for message in decode(&mut decoder, wire).unwrap() {
                            encoder.encode(message).unwrap();
                            encoder.take_bytes();
                        }
                    }
                    connections.push((decoder, encoder));
                }
            };
            // These connections fill the pools of the thread.
            open(10);
            let info = measure(|| open(10));
            info.bytes_current / 10
        };
        let each = std::thread::scope(|scope| scope.spawn(work).join()).unwrap();
        assert!(each <= 2 * window + 256, "{memory:?}: {each} bytes");
        assert!(each >= window, "{memory:?}: {each} bytes");
    }
}

/// Each end of a stream is a step that yielded nothing. The end that the decoder itself adds to a message is not counted.
#[test]
fn inflating_steps_that_yield_nothing_are_allowed_up_to_a_bound() {
    // An empty block that ends a stream, and the first octet of one that does not.
    let ends = |count: usize| [3, 0].repeat(count).into_iter().chain([0]).collect::<Vec<u8>>();
    let outcome = |count| decode(&mut decoder(no_takeover(), &Config::default()), &compressed(&ends(count)).bytes());
    // A step of a KiB is counted as well.
    assert_eq!(outcome(1023), Ok(vec![Message::text("")]));
    assert_eq!(outcome(1024), Err(Error::Violation(Violation::CompressionWork)));
}

#[test]
fn a_compressed_frame_that_arrives_whole_is_not_copied_before_it_is_inflated() {
    let message = noise(3 * MIB, 5);
    let wire = Frame::binary(Peer::new(false).deflate(&message)).rsv(COMPRESSED).bytes();
    let mut decoder = decoder(no_takeover(), &Config::default());
    let mut received = Vec::new();
    let info = measure(|| received = decode(&mut decoder, &wire).unwrap());
    assert_eq!(received, [Message::binary(message.clone())]);
    // The pieces, and the whole payload.
    assert!(info.bytes_max <= (2 * message.len() + MIB) as u64, "{info:?}");
}
