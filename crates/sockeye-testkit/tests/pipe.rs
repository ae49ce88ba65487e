//! Each behaviour of the pipe.

use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use sockeye_testkit::{Frame, Peer, pipe, pipe_with_capacity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn a_full_pipe_makes_the_writer_wait_until_the_reader_reads() {
    let (mut near, mut far) = pipe_with_capacity(3);
    let control = near.control();
    let writer = tokio::spawn(async move {
        near.write_all(b"12345").await.unwrap();
        near
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((control.in_flight(), control.counters().blocked_writes), (3, 1));
    let mut bytes = [0; 5];
    far.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"12345");
    assert_eq!(control.counters().writes, 2);
    writer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pipe_reads_and_writes_in_chunks_and_counts_them() {
    let (mut near, mut far) = pipe();
    let (near_control, far_control) = (near.control(), far.control());
    near_control.set_write_chunk(2);
    far_control.set_read_chunk(1);
    near.write_all(b"hello").await.unwrap();
    assert_eq!((near_control.counters().writes, near_control.counters().written_bytes), (3, 5));
    let mut bytes = [0; 5];
    far.read_exact(&mut bytes).await.unwrap();
    assert_eq!((far_control.take_counters().reads, far_control.counters().reads), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_vectored_write_to_a_pipe_takes_all_slices_or_the_first_that_is_not_empty() {
    let slices = [IoSlice::new(b""), IoSlice::new(b"ab"), IoSlice::new(b"cd")];
    let (mut near, _far) = pipe();
    assert_eq!(near.write_vectored(&slices).await.unwrap(), 4);
    near.control().set_vectored(false);
    assert_eq!(near.write_vectored(&slices).await.unwrap(), 2);
    assert_eq!(near.control().peek_in_flight(), b"abcdab");
}

#[tokio::test(start_paused = true)]
async fn paused_writes_and_reads_of_a_pipe_wait_until_they_are_resumed() {
    let (mut near, mut far) = pipe();
    let (near_control, far_control) = (near.control(), far.control());
    near_control.pause_writes();
    assert!(timeout(Duration::from_secs(1), near.write_all(b"x")).await.is_err());
    far_control.pause_reads();
    let reader = tokio::spawn(async move { far.read_u8().await });
    let writer = tokio::spawn(async move { near.write_all(b"x").await.map(|()| near) });
    near_control.resume_writes();
    let _near = writer.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!reader.is_finished());
    far_control.resume_reads();
    assert_eq!(reader.await.unwrap().unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_pipe_is_read_after_the_bytes_before_it() {
    let (mut near, mut far) = pipe();
    near.write_all(b"x").await.unwrap();
    near.control().pause_shutdown();
    assert!(timeout(Duration::from_secs(1), near.shutdown()).await.is_err());
    near.control().resume_shutdown();
    near.shutdown().await.unwrap();
    assert_eq!(near.write(b"y").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"x");
    far.write_all(b"still open").await.unwrap();
    near.control().end_reads();
    all.clear();
    near.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"still open");
}

#[tokio::test(start_paused = true)]
async fn a_reset_of_a_pipe_fails_both_ends_and_loses_bytes_in_flight() {
    let (mut near, far) = pipe();
    near.write_all(b"lost").await.unwrap();
    let mut far = Peer::client(far);
    near.control().reset();
    assert_eq!(far.expect_reset().await.kind(), ErrorKind::ConnectionReset);
    assert_eq!(near.write(b"y").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(near.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_forced_error_fails_only_one_end_of_a_pipe() {
    let (mut near, mut far) = pipe();
    near.control().fail_reads(ErrorKind::TimedOut);
    assert_eq!(near.read_u8().await.unwrap_err().kind(), ErrorKind::TimedOut);
    near.write_all(b"x").await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'x');
    near.control().fail_writes(ErrorKind::Other);
    assert_eq!(near.flush().await.unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(near.write(b"y").await.unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(near.shutdown().await.unwrap_err().kind(), ErrorKind::Other);
}

#[tokio::test(start_paused = true)]
async fn dropping_an_end_of_a_pipe_with_unread_bytes_resets_it_as_tcp_does() {
    let (near, mut far) = pipe();
    let mut near = Peer::client(near);
    near.send(Frame::text("unread")).await;
    far.write_all(&Frame::close(1000, "").server_bytes()).await.unwrap();
    drop(far);
    assert_eq!(near.expect_reset().await.kind(), ErrorKind::ConnectionReset);

    let (near, mut far) = pipe();
    far.control().set_drop_resets(false);
    let mut near = Peer::client(near);
    near.send(Frame::text("unread")).await;
    far.write_all(&Frame::close(1000, "").server_bytes()).await.unwrap();
    drop(far);
    near.expect_close(1000).await;
    near.expect_eof().await;
    assert_eq!(near.try_send_bytes("x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(near.stream().control().opposite().is_dropped());
}
