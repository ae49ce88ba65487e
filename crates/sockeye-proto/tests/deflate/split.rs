//! The pieces of a compressed message change nothing: neither its content nor its error.

use super::*;
use proptest::prelude::*;
use sockeye_proto::Violation;

/// The result for bytes in pieces of these sizes, over and over.
fn chopped(config: &Config, wire: &[u8], sizes: &[usize]) -> Result<Vec<Message>, Error> {
    let mut decoder = decoder(Parameters::default(), config);
    let (mut messages, mut rest) = (Vec::new(), wire);
    for &size in sizes.iter().cycle() {
        let (now, later) = rest.split_at(size.clamp(1, rest.len().max(1)).min(rest.len()));
        messages.extend(decode(&mut decoder, now)?);
        rest = later;
        if rest.is_empty() {
            return Ok(messages);
        }
    }
    Ok(messages)
}

fn limited(max: usize) -> Config {
    Config::new().max_message_size(max)
}

/// Messages that are fine, and messages with a fault, with the limits for each.
fn cases() -> Vec<(Config, Vec<u8>)> {
    let mut peer = Peer::new(true);
    let (short, long) = (json(3, 1), json(3000, 2));
    let bomb = peer.deflate(&vec![0; 3 << 20]);
    let fine: Vec<u8> = [short.as_bytes(), &noise(60_000, 1), b"", long.as_bytes(), short.as_bytes()]
        .iter()
        .enumerate()
        .flat_map(|(index, data)| {
            let payload = peer.deflate(data);
            // The first message would refer to the bomb, which is not sent here.
            let payload = if index == 0 { Peer::new(true).deflate(data) } else { payload };
            Frame::binary(payload).rsv(COMPRESSED).bytes()
        })
        .collect();
    let mut peer = Peer::new(true);
    let mut invalid = peer.deflate(long.as_bytes());
    // A block type that does not exist.
    invalid.extend([0xFF; 40]);
    let not_text = Peer::new(true).deflate(&[long.as_bytes(), &[0xFF], long.as_bytes()].concat());
    let idle: Vec<u8> = [0, 0, 0, 0xFF, 0xFF].repeat(400_000);
    let mut fragmented = compressed(&not_text[..10]).fin(false).bytes();
    fragmented.extend(Frame::ping("p").bytes());
    fragmented.extend(Frame::continuation(&not_text[10..]).bytes());
    vec![
        (Config::default(), fine),
        (Config::default(), compressed(&bomb).bytes()),
        (limited(1 << 20), compressed(&bomb).bytes()),
        (limited(long.len()), compressed(&Peer::new(true).deflate(long.as_bytes())).bytes()),
        (limited(long.len() - 1), compressed(&Peer::new(true).deflate(long.as_bytes())).bytes()),
        (Config::default(), compressed(&invalid).bytes()),
        (limited(100_000), compressed(&invalid).bytes()),
        (Config::default(), compressed(&not_text).bytes()),
        (Config::default(), fragmented),
        (Config::default(), compressed(&idle).bytes()),
    ]
}

#[test]
fn compressed_streams_decode_the_same_in_pieces_of_every_size() {
    let expected = [None, Some(Violation::CompressionRatio), None, None, None, Some(Violation::InvalidDeflate)];
    for (index, (config, wire)) in cases().into_iter().enumerate() {
        let whole = chopped(&config, &wire, &[usize::MAX]);
        if let Some(Some(violation)) = expected.get(index) {
            assert!(whole == Err((*violation).into()), "case {index}");
        }
        for sizes in [&[1][..], &[7], &[1000, 1], &[1024], &[16_384], &[16_390], &[65_536, 3], &[14, 65_536]] {
            assert!(chopped(&config, &wire, sizes) == whole, "case {index}, {sizes:?}");
        }
    }
}

#[test]
fn a_short_compressed_stream_decodes_the_same_with_every_single_cut() {
    let mut peer = Peer::new(true);
    let texts = [json(2, 1), json(2, 2), String::new(), "a".repeat(50_000)];
    let wire: Vec<u8> = texts.iter().flat_map(|text| compressed(&peer.deflate(text.as_bytes())).bytes()).collect();
    let expected: Vec<_> = texts.iter().map(Message::text).collect();
    for cut in 1..wire.len() {
        assert!(chopped(&Config::default(), &wire, &[cut, usize::MAX]).as_ref() == Ok(&expected), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn compressed_streams_decode_the_same_in_random_pieces(
        sizes in prop::collection::vec(1usize..40_000, 1..8),
        case in 0usize..10,
    ) {
        let (config, wire) = cases().swap_remove(case);
        prop_assert!(chopped(&config, &wire, &sizes) == chopped(&config, &wire, &[usize::MAX]), "case {}", case);
    }
}
