//! A reader of DEFLATE (RFC 1951) that measures how far back references go, written from the RFC alone.

/// The longest distance in a compressed payload, after `seen` earlier bytes.
pub(crate) fn furthest(payload: &[u8], mut seen: usize) -> usize {
    let payload = [payload, &[0, 0, 0xFF, 0xFF]].concat();
    let mut bits = Bits { bytes: &payload, at: 0 };
    let mut furthest = 0;
    while bits.at < payload.len() * 8 {
        let (_last, kind) = (bits.take(1), bits.take(2));
        let (literals, distances) = match kind {
            0 => {
                bits.at = bits.at.next_multiple_of(8);
                let length = bits.take(16);
                assert_eq!(bits.take(16), length ^ 0xFFFF);
                bits.at += length * 8;
                seen += length;
                continue;
            }
            1 => fixed(),
            2 => dynamic(&mut bits),
            _ => panic!("a reserved kind of block"),
        };
        loop {
            match literals.read(&mut bits) {
                256 => break,
                literal @ 0..256 => _ = (literal, seen += 1),
                code => {
                    let length = LENGTHS[code - 257] + bits.take(LENGTH_EXTRA[code - 257]);
                    let code = distances.read(&mut bits);
                    let extra = (code / 2).saturating_sub(1);
                    let base = if code < 4 { code + 1 } else { ((2 + code % 2) << extra) + 1 };
                    let distance = base + bits.take(extra);
                    assert!(distance <= seen, "it refers to what was not sent");
                    furthest = furthest.max(distance);
                    seen += length;
                }
            }
        }
    }
    furthest
}

#[rustfmt::skip]
const LENGTHS: [usize; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
];
#[rustfmt::skip]
const LENGTH_EXTRA: [usize; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> usize {
        (0..count).map(|index| self.one() << index).sum()
    }

    fn one(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        bit.into()
    }
}

/// The codes of an alphabet.
struct Code {
    /// How many codes there are of each length.
    counts: [usize; 16],
    /// The meanings of the codes, in their order.
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        let mut counts = [0; 16];
        symbols.iter().for_each(|&symbol| counts[lengths[symbol]] += 1);
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut before) = (0, 0, 0);
        for count in &self.counts[1..] {
            code = code << 1 | bits.one();
            first <<= 1;
            if code < first + count {
                return self.symbols[before + code - first];
            }
            (first, before) = (first + count, before + count);
        }
        panic!("no such code");
    }
}

fn fixed() -> (Code, Code) {
    let literals = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
    (Code::new(&literals), Code::new(&[5; 30]))
}

fn dynamic(bits: &mut Bits<'_>) -> (Code, Code) {
    let (literals, distances, count) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut lengths = vec![0; 19];
    ORDER[..count].iter().for_each(|&index| lengths[index] = bits.take(3));
    let code = Code::new(&lengths);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match code.read(bits) {
            16 => (*lengths.last().unwrap(), 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    let distances = lengths.split_off(literals);
    (Code::new(&lengths), Code::new(&distances))
}
