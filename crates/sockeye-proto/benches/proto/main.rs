//! The cost of the protocol's steps, by payload size: `cargo bench -p sockeye-proto`, with a filter as in `-- mask`.

mod decode;
#[cfg(feature = "deflate")]
mod deflate;
mod encode;
mod header;
mod mask;
mod utf8;

// What the module `utf8` uses from its crate.
use sockeye_proto::Violation;

/// The sizes of payloads in bytes.
const SIZES: [usize; 4] = [16, 1 << 10, 64 << 10, 1 << 20];

/// A masking key.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn main() {
    // The first detection of processor features takes microseconds, more than divan expects of a repeated step.
    #[cfg(target_arch = "x86_64")]
    println!("AVX2: {}", std::arch::is_x86_feature_detected!("avx2"));
    #[cfg(feature = "deflate")]
    deflate::print_sizes();
    divan::main();
}

/// `size` bytes of ASCII, like most texts.
fn ascii(size: usize) -> String {
    "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(size).collect()
}

/// `size` bytes in which two of three characters are not ASCII.
fn mixed(size: usize) -> String {
    let mut text: String = "eé€".chars().cycle().take(size / 2).collect();
    text.extend(std::iter::repeat_n('.', size - text.len()));
    text
}

/// Any bytes.
fn binary(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 7) as u8).collect()
}
