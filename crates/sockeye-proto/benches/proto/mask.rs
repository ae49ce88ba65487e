//! The masking kernels: in place, and copying on the way.

use divan::{Bencher, black_box, counter::BytesCount};

use crate::{KEY, ascii, binary, mixed};

/// The module itself: it is private, and stands alone.
#[path = "../../src/mask.rs"]
#[allow(dead_code, unused_imports, reason = "cargo checks a bench as a test, and its unit tests run in the crate")]
mod kernel;

/// Sizes around the bounds at which the kernels change their method.
const SIZES: [usize; 9] = [16, 20, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20];

#[divan::bench(args = SIZES)]
fn in_place(bencher: Bencher<'_, '_>, size: usize) {
    let mut payload = binary(size);
    bencher.counter(BytesCount::new(size)).bench_local(|| kernel::apply(black_box(&mut payload), black_box(KEY), 0));
}

/// A read may put a payload at any address.
#[divan::bench(args = SIZES)]
fn in_place_unaligned(bencher: Bencher<'_, '_>, size: usize) {
    let mut payload = binary(size + 3);
    let payload = &mut payload[3..];
    bencher.counter(BytesCount::new(size)).bench_local(|| kernel::apply(black_box(payload), black_box(KEY), 3));
}

#[divan::bench(args = SIZES)]
fn copying(bencher: Bencher<'_, '_>, size: usize) {
    let payload = binary(size + 6);
    let payload = &payload[6..];
    let mut output = Vec::with_capacity(size);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        output.clear();
        kernel::copy(black_box(&mut output), black_box(payload), black_box(KEY), 0)
    });
}

/// Copying, and validation of texts that are not ASCII.
#[divan::bench(args = SIZES)]
fn copying_ascii(bencher: Bencher<'_, '_>, size: usize) {
    copying_text(bencher, ascii(size));
}

#[divan::bench(args = SIZES)]
fn copying_mixed(bencher: Bencher<'_, '_>, size: usize) {
    copying_text(bencher, mixed(size));
}

fn copying_text(bencher: Bencher<'_, '_>, text: String) {
    let size = text.len();
    let mut masked = text.into_bytes();
    kernel::apply(&mut masked, KEY, 0);
    let mut output = Vec::with_capacity(size);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        output.clear();
        let is_ascii = kernel::copy_text(black_box(&mut output), black_box(&masked), black_box(KEY), 0);
        is_ascii || simdutf8::basic::from_utf8(&output).is_ok()
    });
}

/// The limit of the memory: a copy without masking.
#[divan::bench(args = SIZES)]
fn plain_copy(bencher: Bencher<'_, '_>, size: usize) {
    let payload = binary(size + 6);
    let payload = &payload[6..];
    let mut output = Vec::with_capacity(size);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        output.clear();
        black_box(&mut output).extend_from_slice(black_box(payload));
    });
}
