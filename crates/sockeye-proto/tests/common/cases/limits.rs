//! RFC 6455 §10.4: limits, which are checked with the header, before any payload has arrived.

use sockeye_proto::{Config, Limit, Message};
use sockeye_testkit::{Frame, opcode};

use super::{End, Table};

pub(crate) fn cases(table: &mut Table) {
    frame_size(table);
    message_size(table);
    fragments(table);
}

fn frame_size(table: &mut Table) {
    for max in [0, 1, 10, 126, 70_000] {
        let limits = Config::new().max_frame_size(max);
        let over = End::Over(Limit::FrameSize, max as u64 + 1);
        let fits = vec![b'x'; max];
        let frames = [Frame::binary(fits.clone())];
        table.limited(format!("frame of {max}"), &limits, &frames, [fits.into()], End::Fine);
        let frame = Frame::binary(vec![b'x'; max + 1]);
        table.limited(format!("frame over {max}"), &limits, [&frame], [], over);
        let header = Frame::text("").declared_len(max as u64 + 1);
        table.limited(format!("header over {max}"), &limits, [&header], [], over);
        let frames = [Frame::binary("").fin(false), Frame::continuation("").declared_len(max as u64 + 1)];
        table.limited(format!("continuation over {max}"), &limits, &frames, [], over);
    }
    // Control frames have their own limit, and a connection whose Close is refused cannot be closed.
    let limits = Config::new().max_frame_size(0).max_message_size(0);
    let frames = [Frame::ping(vec![1; 125]), Frame::text(""), Frame::close_empty()];
    let messages = [Message::Ping(vec![1; 125]), "".into(), Message::Close(None)];
    table.limited("control frames with limits of 0", &limits, &frames, messages, End::Fine);
    // Each fragment is within the frame limit, and the whole message is not.
    let limits = Config::new().max_frame_size(3);
    let frames = Frame::fragments(opcode::TEXT, &[b"abc", b"def", b"g"]);
    table.limited("three frames of at most 3", &limits, &frames, ["abcdefg".into()], End::Fine);
}

fn message_size(table: &mut Table) {
    let limits = Config::new().max_message_size(10);
    let over = |len| End::Over(Limit::MessageSize, len);
    let fits = [
        vec![Frame::text("0123456789")],
        Frame::fragments(opcode::TEXT, &[b"01234", b"56789"]),
        Frame::fragments(opcode::TEXT, &[b"0123456789", b"", b""]),
    ];
    for frames in fits {
        let twice = [frames.clone(), frames].concat();
        let messages = ["0123456789".into(), "0123456789".into()];
        table.limited(format!("10 bytes in {} frames", twice.len() / 2), &limits, &twice, messages, End::Fine);
    }
    table.limited("message over 10", &limits, [&Frame::text("0123456789a")], [], over(11));
    table.limited("header over 10", &limits, [&Frame::text("").declared_len(11)], [], over(11));
    let frames = [Frame::text("01234").fin(false), Frame::continuation("").declared_len(6)];
    table.limited("second header over 10", &limits, &frames, [], over(11));
    let frames = [Frame::text("0123456789").fin(false), Frame::ping("x"), Frame::continuation("a").fin(false)];
    table.limited("third frame over 10", &limits, &frames, [Message::Ping(b"x".to_vec())], over(11));

    // The sum does not wrap. A smaller address space refuses such a frame alone.
    #[cfg(target_pointer_width = "64")]
    {
        let limits = Config::new().max_frame_size(usize::MAX).max_message_size(usize::MAX >> 1);
        let frames = [Frame::binary("a").fin(false), Frame::continuation("").declared_len(i64::MAX as u64)];
        table.limited("2^63", &limits, &frames, [], over(1 << 63));
    }
}

fn fragments(table: &mut Table) {
    let limits = Config::new().max_fragments(3);
    let over = End::Over(Limit::Fragments, 4);
    let frames = Frame::fragments(opcode::TEXT, &[b"a", b"", b"c"]);
    let twice = [frames.clone(), frames].concat();
    table.limited("3 fragments, twice", &limits, &twice, ["ac".into(), "ac".into()], End::Fine);
    let frames = Frame::fragments(opcode::BINARY, &[b"a", b"", b"c", b"d"]);
    table.limited("4 fragments", &limits, &frames, [], over);
    let frames = Frame::fragments(opcode::BINARY, &[b"", b"", b"", b"", b""]);
    table.limited("5 empty fragments", &limits, &frames, [], over);
    let frames = [
        Frame::text("a").fin(false),
        Frame::ping(""),
        Frame::continuation("").fin(false),
        Frame::ping(""),
        Frame::continuation("c"),
    ];
    let messages = [Message::Ping(vec![]), Message::Ping(vec![]), "ac".into()];
    table.limited("3 fragments and 2 Pings", &limits, &frames, messages, End::Fine);
}
