//! RFC 6455 §5.4 and §5.6: messages and their fragments.

use sockeye_proto::{Message, Violation};
use sockeye_testkit::{Frame, opcode};

use super::super::{long_binary, long_text};
use super::{End, Table, protocol};

pub(crate) fn cases(table: &mut Table) {
    whole(table);
    fragmented(table);
    interleaved(table);
    out_of_order(table);
}

fn whole(table: &mut Table) {
    table.both("nothing", [], [], End::Fine);
    let frames = [Frame::text("Hello"), Frame::binary([0, 159, 146, 150]), Frame::text(""), Frame::binary("")];
    let messages = ["Hello".into(), Message::Binary(vec![0, 159, 146, 150]), "".into(), Message::binary([])];
    table.both("four messages", &frames, messages, End::Fine);
    for len in [4_095, 4_096, 4_097, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 200_000] {
        let frames = [Frame::text(long_text(len)), Frame::binary(long_binary(len)), Frame::text("end")];
        let messages = [long_text(len).into(), long_binary(len).into(), "end".into()];
        table.both(format!("long messages of {len}"), &frames, messages, End::Fine);
    }
    table.both("a header and no payload", [&Frame::text("").declared_len(5)], [], End::Fine);
    table.both("half a payload", [&Frame::text("Hel").declared_len(5)], [], End::Fine);
}

fn fragmented(table: &mut Table) {
    let parts: [&[&[u8]]; 8] = [
        &[b"Hel", b"lo"],
        &[b"H", b"e", b"l", b"l", b"o"],
        &[b"", b"Hello"],
        &[b"Hello", b""],
        &[b"", b"", b"Hello", b"", b""],
        &[b""],
        &[b"", b""],
        &[b"", b"", b""],
    ];
    for parts in parts {
        let whole = parts.concat();
        let lens: Vec<_> = parts.iter().map(|part| part.len()).collect();
        let mut frames = Frame::fragments(opcode::TEXT, parts);
        frames.extend(Frame::fragments(opcode::BINARY, parts));
        frames.push(Frame::text("next"));
        let text = Message::text(String::from_utf8_lossy(&whole));
        table.both(format!("fragments of {lens:?}"), &frames, [text, whole.into(), "next".into()], End::Fine);
    }
    let (text, data) = (long_text(150_000), long_binary(150_000));
    let in_pieces = |bytes: &[u8], len| Frame::fragments(opcode::TEXT, &bytes.chunks(len).collect::<Vec<_>>());
    for len in [1_000, 20_000, 70_000] {
        let mut frames = in_pieces(text.as_bytes(), len);
        frames.push(Frame::binary(data.clone()));
        let messages = [text.clone().into(), data.clone().into()];
        table.both(format!("a long text in fragments of {len}"), &frames, messages, End::Fine);
    }
}

fn interleaved(table: &mut Table) {
    let frames = [
        Frame::ping("before"),
        Frame::text("Hel").fin(false),
        Frame::ping("1"),
        Frame::pong(""),
        Frame::continuation("l").fin(false),
        Frame::ping(vec![7; 125]),
        Frame::continuation("o"),
        Frame::pong("after"),
    ];
    let messages = [
        Message::Ping(b"before".to_vec()),
        Message::Ping(b"1".to_vec()),
        Message::Pong(vec![]),
        Message::Ping(vec![7; 125]),
        "Hello".into(),
        Message::Pong(b"after".to_vec()),
    ];
    table.both("control frames between fragments", &frames, messages, End::Fine);
    let frames = [Frame::text("Hel").fin(false), Frame::close(1000, ""), Frame::continuation("lo")];
    let close = Message::Close(Some(sockeye_proto::CloseFrame::new(1000, "")));
    table.both("Close between fragments", &frames, [close], End::Fine);
}

fn out_of_order(table: &mut Table) {
    let lone = protocol(Violation::UnexpectedContinuation);
    for (fin, payload) in [(true, ""), (true, "x"), (false, ""), (false, "x")] {
        let frame = Frame::continuation(payload).fin(fin);
        let name = format!("fin {fin}, {} bytes", payload.len());
        table.both(format!("lone continuation, {name}"), [&frame], [], lone);
        let frames = [Frame::text("a"), frame.clone()];
        table.both(format!("continuation after a message, {name}"), &frames, ["a".into()], lone);
        let frames = [Frame::ping(""), frame.clone()];
        table.both(format!("continuation after a Ping, {name}"), &frames, [Message::Ping(vec![])], lone);
        let frames = [Frame::binary("a").fin(false), Frame::continuation("b"), frame];
        table.both(format!("continuation after the last, {name}"), &frames, [Message::binary(*b"ab")], lone);
    }
    for first in [opcode::TEXT, opcode::BINARY] {
        for second in [opcode::TEXT, opcode::BINARY] {
            for (fin, payload) in [(true, ""), (true, "x"), (false, ""), (false, "x")] {
                let frames = [Frame::new(first, "a").fin(false), Frame::new(second, payload).fin(fin)];
                let name = format!("opcode {second} (fin {fin}, {} bytes) within {first}", payload.len());
                table.both(name, &frames, [], protocol(Violation::UnfinishedMessage));
            }
            let frames = [
                Frame::new(first, "").fin(false),
                Frame::continuation("").fin(false),
                Frame::ping(""),
                Frame::new(second, "x"),
            ];
            let name = format!("opcode {second} within {first}, later");
            table.both(name, &frames, [Message::Ping(vec![])], protocol(Violation::UnfinishedMessage));
        }
    }
}
