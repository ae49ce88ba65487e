//! Validation of texts.

use divan::{Bencher, black_box, counter::BytesCount};

use crate::{SIZES, ascii, mixed};

/// The module itself: it is private, and takes nothing from the crate but an error.
#[path = "../../src/utf8.rs"]
#[allow(dead_code, unused_imports, reason = "cargo checks a bench as a test, and its unit tests run in the crate")]
mod kernel;

#[divan::bench(args = SIZES)]
fn whole_ascii(bencher: Bencher<'_, '_>, size: usize) {
    whole(bencher, ascii(size));
}

#[divan::bench(args = SIZES)]
fn whole_mixed(bencher: Bencher<'_, '_>, size: usize) {
    whole(bencher, mixed(size));
}

#[divan::bench(args = SIZES)]
fn growing_mixed(bencher: Bencher<'_, '_>, size: usize) {
    let text = mixed(size);
    bencher.counter(BytesCount::new(size)).bench_local(|| kernel::progress(black_box(text.as_bytes()), 0));
}

/// The standard library's validation, which has no vector instructions to choose: `mixed` must be much faster.
#[divan::bench(args = SIZES)]
fn std_mixed(bencher: Bencher<'_, '_>, size: usize) {
    let text = mixed(size);
    bencher
        .counter(BytesCount::new(size))
        .bench_local(|| black_box(std::str::from_utf8(black_box(text.as_bytes())).is_ok()));
}

fn whole(bencher: Bencher<'_, '_>, text: String) {
    let size = text.len();
    let mut bytes = text.into_bytes();
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        // The bytes come back as a text, without an allocation.
        let text = kernel::whole(std::mem::take(black_box(&mut bytes))).expect("the text is valid");
        bytes = text.into_bytes();
    });
}
