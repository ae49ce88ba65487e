//! Every rule of RFC 6455 §5 to §8 that bytes can keep or break, each with one line of a table.
// Miri would find nothing and take hours: these tests are about rules.
#![cfg(not(miri))]

mod common;

use common::{Run, cases, decode, sent_to};
use sockeye_proto::{Config, Error, Message, Role, Violation, close_code};
use sockeye_testkit::{Frame, LengthForm};

#[test]
fn every_case_of_the_table_decodes_as_it_says() {
    let cases = cases::all();
    for case in &cases {
        let outcome = decode(case.role, &case.config, &case.wire);
        assert_eq!(outcome.messages, case.messages, "{}", case.name);
        case.end.check(&outcome, &case.name);
    }
    assert!(cases.len() > 1000, "{} cases", cases.len());
}

/// The registry, by number: which codes a Close may carry.
#[test]
fn every_close_code_is_allowed_or_refused_as_the_registry_says() {
    for code in 0..=u16::MAX {
        let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert_eq!(close_code::is_valid_on_wire(code), allowed, "{code}");
        let outcome = decode(Role::Client, &Config::default(), &Frame::close(code, "").server_bytes());
        let error = (!allowed).then_some(Error::Violation(Violation::InvalidCloseCode(code)));
        assert_eq!((outcome.messages.len(), outcome.error), (usize::from(allowed), error), "{code}");
    }
}

/// All 65,536 beginnings of a frame: a violation in the first two bytes is reported at once, and nothing else is.
#[test]
fn violations_in_the_first_two_bytes_are_reported_at_once() {
    for role in common::ROLES {
        for two in 0..=u16::MAX {
            let [first, second] = two.to_be_bytes();
            let (fin, op, masked, len) = (first & 0x80 != 0, first & 0xF, second & 0x80 != 0, second & 0x7F);
            let by_first = if matches!(op, 3..=7 | 11..) {
                Some(Violation::ReservedOpcode)
            } else if first & 0x70 != 0 {
                Some(Violation::ReservedBits)
            } else if op >= 8 && !fin {
                Some(Violation::FragmentedControl)
            } else {
                None
            };
            let by_second = if role == Role::Server && !masked {
                Some(Violation::UnmaskedFrame)
            } else if role == Role::Client && masked {
                Some(Violation::MaskedFrame)
            } else if op >= 8 && len > 125 {
                Some(Violation::OversizedControl)
            } else if op == 0 && !masked && len < 126 {
                // The header is complete, and there is nothing to continue.
                Some(Violation::UnexpectedContinuation)
            } else {
                None
            };
            let mut run = Run::new(role, &Config::default());
            let after_first = run.feed(&[first]).outcome.error;
            assert_eq!(after_first, by_first.map(Error::Violation), "{role:?} {first:#04x}");
            let after_second = run.feed(&[second]).outcome.error;
            assert_eq!(after_second, by_first.or(by_second).map(Error::Violation), "{role:?} {two:#06x}");
        }
    }
}

/// The length is checked as soon as it has arrived, with or without the masking key and the payload.
#[test]
fn a_wrong_length_is_reported_before_its_payload() {
    let cases = [
        (Frame::binary("").declared_len(125).length_form(LengthForm::Bits16), Violation::NonMinimalLength),
        (Frame::binary("").declared_len(65_535).length_form(LengthForm::Bits64), Violation::NonMinimalLength),
        (Frame::binary("").declared_len(1 << 63), Violation::LengthTooLarge),
        (Frame::binary("").declared_len(u64::MAX), Violation::LengthTooLarge),
    ];
    for (frame, violation) in cases {
        for role in common::ROLES {
            let outcome = decode(role, &Config::default(), &sent_to(role, [&frame]));
            assert_eq!(outcome.error, Some(Error::Violation(violation)), "{frame:?}");
        }
    }
}

/// RFC 6455 §5.3: the key repeats over the whole payload, whatever its length.
#[test]
fn payloads_of_every_length_are_unmasked() {
    let key = [0xC3, 0x5A, 0x0F, 0x99];
    for len in 0..300 {
        let payload = common::long_binary(len);
        let wire = Frame::binary(payload.clone()).mask(key).bytes();
        let outcome = decode(Role::Server, &Config::default(), &wire);
        assert_eq!(outcome.messages, [Message::Binary(payload)], "{len}");
    }
}

/// DESIGN: the text of each error names the limit or the rule.
#[test]
fn the_text_of_a_decoding_error_says_what_was_expected() {
    let outcome = decode(Role::Server, &Config::default(), &Frame::text("x").rsv(2).bytes());
    let text = outcome.error.unwrap().to_string();
    assert!(text.contains("reserved bit") && text.contains("RFC 6455 section 5.2"), "{text}");
    let config = Config::new().max_frame_size(7);
    let outcome = decode(Role::Server, &config, &Frame::text("12345678").bytes());
    let text = outcome.error.unwrap().to_string();
    assert!(text.contains("max_frame_size is 7") && text.contains('8'), "{text}");
    let outcome = decode(Role::Server, &Config::new(), &Frame::close(1005, "").bytes());
    let text = outcome.error.unwrap().to_string();
    assert!(text.contains("close code 1005") && text.contains("1000 to 1003"), "{text}");
}

/// A decoder reports whether a message is incomplete, and how much of it has arrived.
#[test]
fn a_decoder_reports_how_much_of_a_message_it_holds() {
    let mut run = Run::new(Role::Server, &Config::default());
    assert_eq!((run.decoder.is_assembling(), run.decoder.held()), (false, 0));
    run.feed(&Frame::text("Hel").fin(false).bytes());
    assert_eq!((run.decoder.is_assembling(), run.decoder.held()), (true, 3));
    run.feed(&Frame::ping("").bytes());
    let last = Frame::continuation("lo").bytes();
    run.feed(&last[..last.len() - 1]);
    assert_eq!((run.decoder.is_assembling(), run.decoder.held()), (true, 4));
    run.feed(&last[last.len() - 1..]);
    assert_eq!((run.decoder.is_assembling(), run.decoder.held()), (false, 0));
    assert_eq!(run.outcome.messages, [Message::Ping(vec![]), "Hello".into()]);
    run.feed(&Frame::text("a").fin(false).bytes()).feed(&Frame::text("b").bytes());
    assert_eq!((run.decoder.is_assembling(), run.decoder.held()), (false, 0));
    assert!(run.decoder.direct().is_none());
}

/// What is unfinished when the stream ends is dropped. An error stays.
#[test]
fn an_unfinished_message_can_be_abandoned_and_a_violation_stays() {
    let mut run = Run::new(Role::Server, &Config::default());
    run.feed(&Frame::text("Hel").fin(false).bytes()).decoder.abandon();
    assert_eq!((run.decoder.is_assembling(), run.decoder.held()), (false, 0));
    run.feed(&Frame::text("whole").bytes());
    assert_eq!(run.outcome.messages, ["whole".into()]);
    let violation = Err(Error::Violation(Violation::UnexpectedContinuation));
    for _ in 0..2 {
        assert_eq!(run.decoder.decode(&mut &Frame::continuation("lo").bytes()[..]), violation);
        run.decoder.abandon();
    }
}
