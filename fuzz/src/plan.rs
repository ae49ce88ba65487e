//! Reads bytes as a plan.

use std::{fmt::Debug, sync::OnceLock};

use arbitrary::{Arbitrary, Unstructured};

/// The plan in `data`. It is printed if `SHOW_PLAN` is in the environment, to show what a found input does.
pub(crate) fn read<'a, P: Arbitrary<'a> + Debug>(data: &'a [u8]) -> Option<P> {
    static SHOW: OnceLock<bool> = OnceLock::new();
    let plan = P::arbitrary_take_rest(Unstructured::new(data)).ok()?;
    if *SHOW.get_or_init(|| std::env::var_os("SHOW_PLAN").is_some()) {
        eprintln!("{plan:#?}");
    }
    Some(plan)
}
