//! permessage-deflate is negotiated exactly by RFC 7692 §7.1, on both sides.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use http::{HeaderMap, HeaderValue, Request, Response};
use proptest::prelude::*;
use sockeye_handshake::{
    Head, Offer, OpeningHandshake,
    client::{AnswerError, ClientRequest},
    deflate::{Offered, accept},
    extension,
};
use sockeye_proto::deflate::{Compression, Memory, Parameters};

const ALL: [Memory; 3] = [Memory::Low, Memory::Balanced, Memory::Best];

fn with(memory: Memory) -> Compression {
    Compression::new().memory(memory)
}

fn offers(list: &str) -> Vec<Offer> {
    let mut headers = HeaderMap::new();
    headers.insert("sec-websocket-extensions", HeaderValue::from_str(list).unwrap());
    extension::parse(&headers).unwrap()
}

/// The answer of a server; `-` if it declines.
fn answer(list: &str, memory: Memory) -> String {
    match accept(&offers(list), &with(memory)) {
        Some((answer, _)) => answer.to_string().replace("permessage-deflate", "d"),
        None => "-".to_owned(),
    }
}

#[test]
fn a_server_answers_each_offer_of_compression_as_its_memory_setting_says() {
    let none = "d; server_no_context_takeover; client_no_context_takeover";
    #[rustfmt::skip]
    let table = [
        // offered, and the answers with Low, Balanced and Best
        ("", none.to_owned(), "d; client_no_context_takeover", "d"),
        ("; client_max_window_bits", none.to_owned(), "d; client_max_window_bits=12", "d"),
        ("; client_max_window_bits=15", none.to_owned(), "d; client_max_window_bits=12", "d"),
        ("; client_max_window_bits=10", format!("{none}; client_max_window_bits=10"), "d; client_max_window_bits=10", "d; client_max_window_bits=10"),
        ("; client_max_window_bits=8", format!("{none}; client_max_window_bits=8"), "d; client_max_window_bits=8", "d; client_max_window_bits=8"),
        ("; server_max_window_bits=15", format!("{none}; server_max_window_bits=15"), "d; client_no_context_takeover; server_max_window_bits=12", "d; server_max_window_bits=15"),
        ("; server_max_window_bits=9", format!("{none}; server_max_window_bits=9"), "d; client_no_context_takeover; server_max_window_bits=9", "d; server_max_window_bits=9"),
        ("; server_max_window_bits=8", format!("{none}; server_max_window_bits=8"), "d; client_no_context_takeover; server_max_window_bits=8", "d; server_max_window_bits=8"),
        ("; server_max_window_bits=\"10\"", format!("{none}; server_max_window_bits=10"), "d; client_no_context_takeover; server_max_window_bits=10", "d; server_max_window_bits=10"),
        ("; server_no_context_takeover", none.to_owned(), none, "d; server_no_context_takeover"),
        ("; client_no_context_takeover", none.to_owned(), "d; client_no_context_takeover", "d; client_no_context_takeover"),
        ("; server_no_context_takeover; client_max_window_bits", none.to_owned(), "d; server_no_context_takeover; client_max_window_bits=12", "d; server_no_context_takeover"),
    ];
    for (params, low, balanced, best) in table {
        let list = format!("permessage-deflate{params}");
        assert_eq!(answer(&list, Memory::Low), low, "{list}");
        assert_eq!(answer(&list, Memory::Balanced), balanced, "{list}");
        assert_eq!(answer(&list, Memory::Best), best, "{list}");
    }
}

/// Each of these is declined. If another offer follows, that one is chosen.
const WRONG: [&str; 24] = [
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=08",
    "server_max_window_bits=+9",
    "server_max_window_bits=1e1",
    "server_max_window_bits=999999999999",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=010",
    "client_max_window_bits=x",
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits=10; client_max_window_bits",
    "unknown",
    "unknown=1",
    "Server_no_context_takeover",
    "client_max_window_bits; mystery",
    "server_max_window_bits=\"7\"",
    "level=9",
];

#[test]
fn an_offer_of_compression_that_cannot_be_served_is_declined_without_an_error() {
    for memory in ALL {
        for params in WRONG {
            let list = format!("permessage-deflate; {params}");
            assert_eq!(answer(&list, memory), "-", "{list}");
            let list = format!("{list}, permessage-deflate; server_max_window_bits=10");
            assert!(answer(&list, memory).ends_with("; server_max_window_bits=10"), "{list}");
        }
        for list in ["x-webkit-deflate-frame", "permessage-bzip2, permessage-deflate-2", "deflate"] {
            assert_eq!(answer(list, memory), "-", "{list}");
        }
    }
}

#[test]
fn the_first_offer_of_compression_that_can_be_served_is_chosen() {
    let list = "permessage-bzip2; blocks=2, permessage-deflate; server_max_window_bits=9, permessage-deflate";
    assert_eq!(answer(list, Memory::Best), "d; server_max_window_bits=9");
    let list = "permessage-deflate, permessage-deflate; server_max_window_bits=9";
    assert_eq!(answer(list, Memory::Best), "d");
}

#[test]
fn the_compression_that_was_agreed_on_is_a_header_of_the_response() {
    let request = Request::get("/")
        .header("host", "a.example")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")
        .body(())
        .unwrap();
    let handshake = OpeningHandshake::read(&Head::from(&request)).unwrap();
    let (answer, _) = accept(handshake.offers(), &with(Memory::Balanced)).unwrap();
    let response = handshake.accept_with(None, &[answer]);
    assert_eq!(response.headers()["sec-websocket-extensions"], "permessage-deflate; client_max_window_bits=12");
    assert!(!handshake.accept(None).headers().contains_key("sec-websocket-extensions"));
}

#[test]
fn a_client_offers_compression_as_its_memory_setting_says() {
    let offered = |memory| Offered::new(&with(memory)).offers().iter().map(Offer::to_string).collect::<Vec<_>>();
    let low = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits";
    assert_eq!(offered(Memory::Low), [low, "permessage-deflate"]);
    let balanced = "permessage-deflate; server_max_window_bits=12; client_max_window_bits";
    assert_eq!(offered(Memory::Balanced), [balanced, "permessage-deflate"]);
    assert_eq!(offered(Memory::Best), ["permessage-deflate; client_max_window_bits", "permessage-deflate"]);
}

fn check(memory: Memory, answer: &str) -> Result<Option<Parameters>, AnswerError> {
    Offered::new(&with(memory)).check(&offers(answer))
}

#[test]
fn a_client_accepts_every_answer_to_its_offer_of_compression() {
    let agreed = |memory, params: &str| check(memory, &format!("permessage-deflate{params}")).unwrap().unwrap();
    let plain = Parameters::default();
    assert_eq!(agreed(Memory::Best, ""), plain);
    assert_eq!(agreed(Memory::Best, "; server_max_window_bits=9").server_max_window_bits.bits(), 9);
    assert_eq!(agreed(Memory::Best, "; client_max_window_bits=8").client_max_window_bits.bits(), 8);
    assert_eq!(agreed(Memory::Best, "; client_max_window_bits=\"15\""), plain);
    let both = agreed(Memory::Best, "; server_no_context_takeover; client_no_context_takeover");
    assert!(both.server_no_context_takeover && both.client_no_context_takeover);
    // An answer to the first offer.
    let low = agreed(Memory::Low, "; server_no_context_takeover; client_max_window_bits=9");
    assert!(low.server_no_context_takeover && low.client_no_context_takeover);
    // An answer that fits only the second offer.
    assert_eq!(agreed(Memory::Low, ""), plain);
    assert_eq!(agreed(Memory::Balanced, "; server_max_window_bits=13").server_max_window_bits.bits(), 13);
    // Declined.
    for memory in ALL {
        assert_eq!(Offered::new(&with(memory)).check(&[]), Ok(None));
    }
}

#[test]
fn a_client_refuses_compression_that_it_has_not_offered() {
    for memory in ALL {
        for params in WRONG.iter().chain(&["client_max_window_bits"]) {
            let answer = format!("permessage-deflate; {params}");
            let value = offers(&answer)[0].to_string();
            assert_eq!(check(memory, &answer), Err(AnswerError::ExtensionParameters { value }), "{answer}");
        }
        assert!(check(memory, "permessage-deflate, permessage-deflate").is_err());
    }
    // It was offered only with `server_no_context_takeover`, or with a window of 12 bits.
    assert!(check(Memory::Low, "permessage-deflate; client_max_window_bits=9").is_err());
    assert!(
        check(Memory::Balanced, "permessage-deflate; client_max_window_bits=9; server_max_window_bits=13").is_err()
    );

    // An extension with another name, which fails earlier.
    let (_, expected) = ClientRequest::new("ws://a.example".parse().unwrap()).unwrap().upgrade();
    let response = Response::builder()
        .status(101)
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-accept", expected.accept().unwrap())
        .header("sec-websocket-extensions", "permessage-deflate")
        .body(())
        .unwrap();
    let value = "permessage-deflate".to_owned();
    assert_eq!(expected.check(&response), Err(AnswerError::ExtensionNotOffered { value }));
}

#[test]
fn our_client_and_our_server_agree_on_the_same_compression() {
    for client in ALL {
        for server in ALL {
            let offered = Offered::new(&with(client));
            let (answer, agreed) = accept(offered.offers(), &with(server)).unwrap();
            assert_eq!(offered.check(&[answer]), Ok(Some(agreed)), "{client:?} {server:?}");
        }
    }
}

proptest! {
    /// The answer to any offer is accepted by a client that has made exactly this offer. Nothing panics.
    #[test]
    fn a_server_answers_any_offer_of_compression_with_one_that_the_client_accepts(
        params in prop::collection::vec(
            (prop::sample::select(vec![
                "server_no_context_takeover",
                "client_no_context_takeover",
                "server_max_window_bits",
                "client_max_window_bits",
                "other",
            ]), prop::option::of(prop::sample::select(vec!["7", "8", "9", "11", "15", "16", "x"]))),
            0..4,
        ),
        memory in prop::sample::select(ALL.to_vec()),
    ) {
        let mut list = "permessage-deflate".to_owned();
        for (name, value) in params {
            list += &match value {
                Some(value) => format!("; {name}={value}"),
                None => format!("; {name}"),
            };
        }
        let offers = offers(&list);
        if let Some((answer, agreed)) = accept(&offers, &with(memory)) {
            let has = |name: &str| offers[0].params().find(|(of, _)| *of == name);
            let said = |name: &str| answer.params().find(|(of, _)| *of == name);
            let number = |value: Option<&str>| value.map_or(15, |value| value.parse::<u8>().unwrap());
            if let Some((_, most)) = has("server_max_window_bits") {
                prop_assert!(number(said("server_max_window_bits").unwrap().1) <= number(most));
            }
            if let Some((_, bits)) = said("client_max_window_bits") {
                prop_assert!(number(bits) <= number(has("client_max_window_bits").unwrap().1));
                prop_assert_eq!(number(bits), agreed.client_max_window_bits.bits());
            }
            prop_assert!(has("server_no_context_takeover").is_none() || said("server_no_context_takeover").is_some());
        }
    }
}
