//! Memory use, measured by an allocator that counts what each thread holds.
// Miri would find nothing and take hours: these tests are about memory.
#![cfg(not(miri))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

use sockeye_proto::{Buffer, Config, Decoder, Encoder, Input, Message, Outgoing, PreparedMessage, Role, SharedMessage};
use sockeye_testkit::{Frame, opcode};

struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    HELD.set(HELD.get() + bytes);
    PEAK.set(PEAK.get().max(HELD.get()));
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are plain cells without a destructor, so
// counting neither allocates nor fails at the end of a thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        count(layout.size() as isize);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // In the worst case, both exist for a moment.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The cost of an action: the allocations, the most bytes, and the bytes that are still held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    calls: usize,
    peak: usize,
    held: isize,
}

fn measure<R>(act: impl FnOnce() -> R) -> (R, Cost) {
    let (calls, held) = (CALLS.get(), HELD.get());
    PEAK.set(held);
    let result = act();
    let cost = Cost { calls: CALLS.get() - calls, peak: (PEAK.get() - held) as usize, held: HELD.get() - held };
    (result, cost)
}

/// What an unfinished message or a latched error takes apart from its payload. A connection between two messages does not
/// hold it.
const UNFINISHED: usize = 192;

fn unlimited() -> Config {
    Config::new().max_frame_size(usize::MAX).max_message_size(usize::MAX)
}

#[test]
fn a_declared_length_allocates_nothing_by_itself() {
    for len in [15 << 20, 1 << 40, i64::MAX as u64] {
        for op in [opcode::TEXT, opcode::BINARY] {
            for sent in [0, 1, 100, 10_000] {
                let frame = Frame::new(op, vec![b'x'; sent]).declared_len(len).bytes();
                let config = unlimited();
                let mut decoder = Decoder::new(Role::Server, config);
                let (_, cost) = measure(|| {
                    assert_eq!(decoder.decode(&mut &frame[..]), Ok(None));
                    // A request for a direct buffer does not change that.
                    let _ = decoder.direct();
                });
                let bound = sent * 4 + 64 + UNFINISHED;
                assert!(cost.peak <= bound, "{sent} bytes of {len} took {cost:?}");
            }
        }
    }
}

/// At most four times the arrived bytes of a large message are held, wherever they are read to.
#[test]
fn the_memory_of_a_message_grows_with_the_bytes_that_have_arrived() {
    let wire = Frame::binary(vec![1; 4 << 20]).bytes();
    for direct in [false, true] {
        let mut decoder = Decoder::new(Role::Server, Config::default());
        let (mut arrived, mut rest) = (0, &wire[..]);
        let before = HELD.get();
        while !rest.is_empty() {
            let room = if direct { decoder.direct() } else { None };
            let count = if let Some(mut room) = room {
                use bytes::BufMut;
                let count = room.remaining_mut().min(rest.len()).min(65_536);
                room.put_slice(&rest[..count]);
                rest = &rest[count..];
                count
            } else {
                let count = rest.len().min(1_021);
                rest = &rest[count..];
                count
            };
            arrived += count;
            let piece = &wire[arrived - count..arrived];
            let mut input = if direct && arrived > 16_384 + 14 + 1_021 { &[][..] } else { piece };
            if let Ok(Some(message)) = decoder.decode(&mut input) {
                assert_eq!((message.len(), arrived), (4 << 20, wire.len()));
                break;
            }
            let held = (HELD.get() - before) as usize;
            assert!(held <= arrived * 4 + UNFINISHED, "{held} bytes held, {arrived} arrived");
        }
    }
}

#[test]
fn a_small_message_costs_the_allocation_that_is_handed_over() {
    let mut wire = Vec::new();
    for i in 0..100 {
        wire.extend(Frame::text(format!("message {i:03}")).bytes());
        wire.extend(Frame::binary(vec![i; 1_000]).bytes());
        wire.extend(Frame::text("").bytes());
    }
    let mut decoder = Decoder::new(Role::Server, Config::default());
    let mut input = &wire[..];
    for _ in 0..100 {
        for len in [11, 1_000, 0] {
            let (message, cost) = measure(|| decoder.decode(&mut input).unwrap().unwrap());
            assert_eq!(message.len(), len);
            let calls = usize::from(len > 0);
            assert_eq!(cost, Cost { calls, peak: len, held: len as isize }, "{len} bytes");
        }
    }
}

#[test]
fn a_decoder_holds_nothing_between_messages_and_little_after_an_error() {
    let mut decoder = Decoder::new(Role::Server, Config::default());
    let mut wire = Frame::text("x".repeat(100_000)).bytes();
    wire.extend(Frame::ping(vec![0; 125]).bytes());
    Frame::fragments(opcode::TEXT, &[b"a", b"b", b"c"]).iter().for_each(|frame| wire.extend(frame.bytes()));
    let (_, cost) = measure(|| {
        for piece in wire.chunks(97) {
            let mut piece = piece;
            while let Ok(Some(message)) = decoder.decode(&mut piece) {
                drop(message);
            }
        }
    });
    assert_eq!(cost.held, 0);
    assert!(!decoder.is_assembling());
    let (_, cost) = measure(|| {
        assert_eq!(decoder.decode(&mut &Frame::binary(vec![0; 50_000]).fin(false).bytes()[..]), Ok(None));
        assert!(decoder.decode(&mut &Frame::text("").rsv(1).bytes()[..]).is_err());
    });
    assert!(cost.held <= UNFINISHED as isize, "{cost:?}");
}

/// 131,072 empty fragments are as many as the default allows, and cost no memory.
#[test]
fn empty_fragments_cost_no_memory() {
    let mut decoder = Decoder::new(Role::Server, Config::default());
    let first = Frame::text("").fin(false).bytes();
    let next = Frame::continuation("").fin(false).bytes();
    let (result, cost) = measure(|| {
        let mut result = decoder.decode(&mut &first[..]);
        let mut frames = 1;
        while result == Ok(None) {
            result = decoder.decode(&mut &next[..]);
            frames += 1;
        }
        (result, frames)
    });
    assert!(matches!(result, (Err(_), 131_073)), "{result:?}");
    assert!(cost.calls <= 1 && cost.peak <= UNFINISHED, "{cost:?}");
}

#[test]
fn fragments_grow_a_message_in_few_steps() {
    let mut decoder = Decoder::new(Role::Server, Config::default());
    let first = Frame::text("x").fin(false).bytes();
    let next = Frame::continuation("x".repeat(10)).fin(false).bytes();
    let (_, cost) = measure(|| {
        assert_eq!(decoder.decode(&mut &first[..]), Ok(None));
        (0..100_000).for_each(|_| assert_eq!(decoder.decode(&mut &next[..]), Ok(None)));
    });
    assert!(cost.calls < 40, "{cost:?}");
    assert!(cost.peak < 4_000_000, "{cost:?}");
    let (message, cost) = measure(|| decoder.decode(&mut &Frame::continuation("").bytes()[..]).unwrap().unwrap());
    assert_eq!(message.len(), 1_000_001);
    assert!(cost.held <= 0, "{cost:?}");
}

#[test]
fn a_flood_of_pings_costs_a_constant_amount_of_memory() {
    let mut encoder = Encoder::server();
    let (_, cost) = measure(|| (0..300_000).for_each(|_| encoder.pong(&[7; 125])));
    assert!(cost.peak < 64 << 10, "{cost:?}");
}

/// The cost is also constant if the peer reads, but too little.
#[test]
fn a_flood_of_pings_of_a_slow_reader_costs_a_constant_amount_of_memory() {
    let mut encoder = Encoder::server();
    let (_, cost) = measure(|| {
        for _ in 0..100_000 {
            encoder.pong(&[7; 125]);
            encoder.pong(&[8; 125]);
            encoder.advance(127);
        }
    });
    assert!(cost.peak < 128 << 10, "{cost:?}");
    // A peer that keeps up, except for one frame.
    let mut encoder = Encoder::server();
    let (_, cost) = measure(|| {
        encoder.pong(&[7; 125]);
        for _ in 0..100_000 {
            encoder.pong(&[8; 125]);
            encoder.advance(127);
        }
    });
    assert!(cost.peak < 128 << 10, "{cost:?}");
}

#[test]
fn an_encoder_that_has_written_all_holds_nothing() {
    let mut encoder = Encoder::server();
    let prepared = PreparedMessage::binary(vec![0; 10_000]);
    let round = |encoder: &mut Encoder| {
        for len in [0, 10, 5_000, 100_000] {
            encoder.encode(Message::binary(vec![1; len])).unwrap();
            encoder.encode(prepared.clone()).unwrap();
            encoder.pong(b"x");
        }
        encoder.advance(encoder.buffered());
    };
    // The list of chunks may stay: it is as long as the longest queue was.
    round(&mut encoder);
    let (_, cost) = measure(|| (0..10).for_each(|_| round(&mut encoder)));
    assert_eq!(cost.held, 0);
}

/// The small messages of a client go through the pooled buffer, as those of a server.
#[test]
fn a_small_message_that_is_written_soon_costs_a_client_no_allocation() {
    let mut encoder = Encoder::client(Box::new(|| [1; 4]));
    let mut round = |mut message: Outgoing| {
        let length = encoder.push_small(&mut message).unwrap();
        assert_eq!(length, encoder.buffered());
        encoder.advance(length);
    };
    round(Message::text("first").into());
    let message = Message::text("second").into();
    let (_, cost) = measure(|| round(message));
    assert_eq!(cost.calls, 0, "{cost:?}");
}

/// Ten thousand connections hold one copy of a message to all of them.
#[test]
fn a_prepared_message_is_queued_without_a_copy() {
    let mut encoders: Vec<_> = (0..10_000).map(|_| Encoder::server()).collect();
    let (_, cost) = measure(|| {
        let prepared = PreparedMessage::binary(vec![0; 100_000]);
        encoders.iter_mut().for_each(|encoder| encoder.encode(prepared.clone()).unwrap());
    });
    assert!(cost.peak < 10_000 * 256 + 300_000, "{cost:?}");
}

/// A large message is moved into the queue, not copied.
#[test]
fn a_large_message_is_queued_without_a_copy() {
    for mut encoder in [Encoder::server(), Encoder::client(Box::new(|| [1; 4]))] {
        let message = Message::binary(vec![0; 1 << 20]);
        let (_, cost) = measure(|| encoder.encode(message).unwrap());
        assert!(cost.peak < 1_024, "{cost:?}");
    }
}

/// Reports at the end of its thread what the thread still holds.
struct Report(isize);

static LEFT: AtomicIsize = AtomicIsize::new(isize::MAX);

impl Drop for Report {
    fn drop(&mut self) {
        LEFT.store(HELD.get() - self.0, Ordering::SeqCst);
    }
}

#[test]
fn a_thread_that_ends_frees_its_pools() {
    // The value that is set up last is dropped first.
    thread_local! {
        static REPORT: Report = Report(HELD.get());
        static LATE: Cell<Option<Buffer>> = const { Cell::new(None) };
    }
    std::thread::spawn(|| {
        REPORT.with(|_| ());
        LATE.with(|_| ());
        let mut encoder = Encoder::server();
        encoder.use_pooled_buffer();
        encoder.encode(Message::text("hello")).unwrap();
        drop(encoder);
        drop((Buffer::pooled(), Buffer::pooled(), Input::pooled()));
        // This buffer goes back when the pools are gone.
        LATE.set(Some(Buffer::pooled()));
        assert!(HELD.get() > 2 * Buffer::SIZE as isize);
    })
    .join()
    .unwrap();
    // Less than nothing may be left: the thread frees what it was started with.
    let left = LEFT.load(Ordering::SeqCst);
    assert!(left <= 0, "{left} bytes");
}

/// Discarded messages of any kind cost only the check of their headers. Even a large message takes no memory.
#[test]
fn discarded_messages_allocate_nothing() {
    let frames = [
        vec![Frame::binary(vec![1; 4 << 20])],
        vec![Frame::text(vec![b'x'; 100]); 1_000],
        Frame::fragments(opcode::TEXT, &[&[b'x'; 60_000][..]; 50]),
    ];
    for frames in frames {
        let wire = sockeye_testkit::wire(&frames);
        let mut decoder = Decoder::new(Role::Server, Config::default());
        assert!(decoder.discard());
        let (_, cost) = measure(|| {
            for mut piece in wire.chunks(60_000) {
                assert_eq!(decoder.decode(&mut piece), Ok(None));
            }
        });
        assert!(cost.peak <= 2 * UNFINISHED && cost.held == 0, "{cost:?} for {} bytes", wire.len());
    }
}

/// A limit in bytes is reliable: no mix of messages holds much more memory than is charged for it.
#[test]
fn a_queued_message_is_charged_with_the_memory_that_it_holds() {
    type Messages = Box<dyn FnMut(usize) -> Outgoing>;
    let one = PreparedMessage::text("x");
    let mut messages: Vec<(&str, Messages)> = vec![
        ("one letter to many", Box::new(move |_| one.clone().into())),
        ("another letter to many each time", Box::new(|_| PreparedMessage::text("x").into())),
        ("a letter", Box::new(|_| Message::text("x").into())),
        ("a page to many", Box::new(|_| PreparedMessage::binary(vec![1; 5_000]).into())),
        ("a page", Box::new(|_| Message::binary(vec![1; 5_000]).into())),
        (
            "a page to many between letters",
            Box::new(|count| match count % 2 {
                0 => PreparedMessage::binary(vec![1; 5_000]).into(),
                _ => Message::text("x").into(),
            }),
        ),
    ];
    for (name, message) in &mut messages {
        let mut encoder = Encoder::server();
        let (_, cost) = measure(|| {
            let mut count = 0;
            while encoder.held() < 1 << 20 {
                encoder.encode(message(count)).unwrap();
                count += 1;
            }
        });
        // A growing vector is at most half empty, and there is only one. The same holds for the list of pieces.
        let most = encoder.held() + encoder.held() / 4 + (64 << 10);
        assert!(cost.held <= most as isize, "{name}: {} bytes are charged, {cost:?}", encoder.held());
        // Dropped messages are not charged any more.
        let (held, room) = (encoder.held(), encoder.drop_oldest(300_000));
        assert!(room.messages > 0 && encoder.held() <= held - 300_000, "{name}: {room:?}");
    }
}

/// Waiting input takes about its size, however small its pieces are, and decoded bytes are removed.
#[test]
fn input_that_waits_to_be_decoded_costs_about_its_bytes() {
    let (most, frame) = (200_000, Frame::text([b'x'; 20]).bytes());
    let mut input = Input::new();
    let mut decoder = Decoder::new(Role::Server, Config::default());
    let fill = |input: &mut Input| {
        while input.len() + frame.len() <= most {
            // Like a read, which takes no more bytes than there is space for.
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let room = most - input.len();
                let bytes = input.grow(room);
                let (now, later) = rest.split_at(rest.len().min(bytes.capacity() - bytes.len()));
                bytes.extend_from_slice(now);
                rest = later;
            }
        }
    };
    let (_, filling) = measure(|| fill(&mut input));
    assert!(filling.held < 201_000 && filling.peak < 400_000 && filling.calls < 12, "{filling:?}");
    for _ in 0..50 {
        for _ in 0..2_000 {
            assert_eq!(input.decode(&mut decoder).unwrap().unwrap().len(), 20);
        }
        let ((), again) = measure(|| fill(&mut input));
        assert!(again.held < 150_000, "{again:?}");
    }
    let mut left = 0;
    while input.decode(&mut decoder).unwrap().is_some() {
        left += 1;
    }
    assert_eq!((left, input.len(), input.is_empty()), (most / frame.len(), 0, true));
    // A rest that waits longer is moved to memory of its size.
    let ((), kept) = measure(|| {
        fill(&mut input);
        while input.len() > 1_000 {
            input.decode(&mut decoder).unwrap().unwrap();
        }
        input.compact();
    });
    assert!(kept.held < 2_000, "{kept:?}");
}

#[test]
fn shared_memory_that_nobody_else_holds_serves_the_next_message() {
    let wire = Frame::binary(vec![1; 100]).bytes();
    let mut decoder = Decoder::new(Role::Server, Config::default());
    let mut receive = || {
        let message = decoder.decode(&mut &wire[..]).unwrap().unwrap();
        SharedMessage::binary(message.into_data().into())
    };
    receive().recycle();
    let (_, cost) = measure(|| receive().recycle());
    assert_eq!(cost.calls, 0, "{cost:?}");

    // What others hold is not reused.
    let first = receive();
    let kept = first.clone();
    first.recycle();
    let second = receive();
    assert_ne!(second.payload().as_ptr(), kept.payload().as_ptr());
    assert_eq!(kept.payload(), second.payload());
}
