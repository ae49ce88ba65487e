//! `ReadAhead`: which reads it makes of the stream below, and what it holds.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{io, pin::Pin, task::Poll};

use allocation_counter::measure;
use proptest::prelude::*;
use sockeye_testkit::{Control, PipeEnd, pipe_with_capacity};
use sockeye_tokio::ReadAhead;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

const CAPACITY: usize = 1 << 20;

/// Both ends of a pipe, one of which reads ahead, and the handle that steers that end.
fn ahead() -> (PipeEnd, ReadAhead<PipeEnd>, Control) {
    let (other, end) = pipe_with_capacity(CAPACITY);
    let control = end.control();
    (other, ReadAhead::new(end), control)
}

/// One read with this much space. `None` if nothing has arrived.
async fn read(stream: &mut ReadAhead<PipeEnd>, space: usize) -> Option<io::Result<Vec<u8>>> {
    let mut bytes = vec![0; space];
    let mut buf = ReadBuf::new(&mut bytes);
    let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut buf))).await;
    match polled {
        Poll::Pending => None,
        Poll::Ready(read) => Some(read.map(|()| buf.filled().to_vec())),
    }
}

#[tokio::test]
async fn after_a_read_that_was_filled_the_rest_is_read_at_once() {
    let (mut other, mut stream, control) = ahead();
    let sent: Vec<u8> = (0..16_432_u32).map(|number| number as u8).collect();
    other.write_all(&sent).await.unwrap();
    let mut came = Vec::new();
    for _ in 0..5 {
        came.extend(read(&mut stream, 4096).await.unwrap().unwrap());
    }
    assert_eq!(came, sent);
    assert_eq!(control.counters().reads, 2);
    assert!(read(&mut stream, 4096).await.is_none());
}

#[tokio::test]
async fn small_reads_share_one_read() {
    let (mut other, mut stream, control) = ahead();
    other.write_all(b"head, and body").await.unwrap();
    assert_eq!(read(&mut stream, 5).await.unwrap().unwrap(), b"head,");
    assert_eq!(read(&mut stream, 100).await.unwrap().unwrap(), b" and body");
    assert!(read(&mut stream, 5).await.is_none());
    assert_eq!(control.counters().reads, 1);
}

#[tokio::test]
async fn a_read_that_was_not_filled_is_passed_on_as_it_is() {
    let (mut other, mut stream, control) = ahead();
    for length in [1, 100, 4095] {
        other.write_all(&vec![7; length]).await.unwrap();
        assert_eq!(read(&mut stream, 4096).await.unwrap().unwrap(), vec![7; length]);
        assert!(read(&mut stream, 4096).await.is_none());
    }
    assert_eq!((control.counters().reads, control.counters().blocked_reads), (3, 3));
}

#[tokio::test]
async fn a_read_without_space_reads_nothing() {
    let (mut other, mut stream, control) = ahead();
    assert_eq!(read(&mut stream, 0).await.unwrap().unwrap(), b"");
    other.write_all(&[7; 4096]).await.unwrap();
    assert_eq!(read(&mut stream, 0).await.unwrap().unwrap(), b"");
    assert_eq!(control.counters().reads, 0);
}

#[tokio::test]
async fn bytes_that_were_read_ahead_come_before_the_end_and_before_an_error() {
    for fails in [false, true] {
        let (mut other, mut stream, control) = ahead();
        other.write_all(&[7; 5000]).await.unwrap();
        assert_eq!(read(&mut stream, 4096).await.unwrap().unwrap().len(), 4096);
        assert_eq!(read(&mut stream, 100).await.unwrap().unwrap().len(), 100);
        if fails {
            control.fail_reads(io::ErrorKind::ConnectionReset)
        } else {
            control.end_reads()
        }
        assert_eq!(read(&mut stream, 4096).await.unwrap().unwrap().len(), 804);
        let end = read(&mut stream, 4096).await.unwrap();
        assert_eq!(
            end.map_err(|error| error.kind()),
            if fails { Err(io::ErrorKind::ConnectionReset) } else { Ok(vec![]) }
        );
    }
}

#[test]
fn a_stream_that_waits_holds_no_buffer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut streams: Vec<_> = (0..100).map(|_| ahead()).collect();
    let mut sent = vec![7; 16_432];
    let mut once = |streams: &mut Vec<(PipeEnd, ReadAhead<PipeEnd>, Control)>| {
        runtime.block_on(async {
            for (other, stream, _) in streams {
                other.write_all(&sent).await.unwrap();
                stream.read_exact(&mut sent).await.unwrap();
                assert!(read(stream, 4096).await.is_none());
            }
        });
    };
    // The pipes have grown, and the thread has its buffer.
    once(&mut streams);
    let again = measure(|| once(&mut streams));
    assert!(again.bytes_max < 256 << 10, "{again:?}");
    assert!(again.bytes_current < 16 << 10, "{again:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_bytes_come_in_their_order(
        parts in prop::collection::vec(0..30_000_usize, 1..10),
        spaces in prop::collection::vec(
            prop_oneof![0..10_usize, 1000..1050_usize, Just(4096_usize), 0..100_000_usize],
            1..20,
        ),
        chunk in prop_oneof![1..2000_usize, Just(usize::MAX)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut other, mut stream, control) = ahead();
            control.set_read_chunk(chunk);
            let mut next = 0_u32;
            let mut spaces = spaces.iter().cycle();
            let (mut sent, mut came) = (Vec::new(), Vec::new());
            for part in parts {
                let bytes: Vec<u8> = (0..part).map(|_| { next += 1; (next / 251) as u8 ^ next as u8 }).collect();
                other.write_all(&bytes).await.unwrap();
                sent.extend(bytes);
                // Some of the bytes are left for later.
                for _ in 0..5 {
                    came.extend(read(&mut stream, *spaces.next().unwrap()).await.transpose().unwrap().unwrap_or_default());
                }
            }
            drop(other);
            stream.read_to_end(&mut came).await.unwrap();
            assert!(came == sent);
        });
    }
}
