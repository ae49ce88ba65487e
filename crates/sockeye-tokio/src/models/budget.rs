//! Connections that share a budget.

use std::sync::Weak;

use loom::thread;

use super::check;
use crate::{Budget, shared::Shared};

/// The queue of a picked connection counts as free until it is dropped. Otherwise other messages queued meanwhile would have
/// the connection picked again, which would cost it its stream, and with that its Close.
#[test]
fn a_connection_that_is_evicted_is_picked_once() {
    check(3, || {
        let budget = Budget::new(10_000);
        let (mut fat, mut thin) = (budget.open(Weak::<Shared>::new()), budget.open(Weak::<Shared>::new()));
        drop(fat.set(12_000));
        let other = thread::spawn(move || {
            drop(thin.set(10));
            drop(thin.set(20));
        });
        assert!(fat.is_picked());
        drop(fat.set(100));
        drop(fat.has_made_way());
        other.join().unwrap();
        assert_eq!(budget.evicted(), 1);
    });
}
