//! How bytes become a plan.

use std::{fmt::Debug, sync::OnceLock};

use arbitrary::{Arbitrary, Unstructured};

/// The plan in `data`, printed where `SHOW_PLAN` is in the environment: to see what an input that was found does.
pub(crate) fn read<'a, P: Arbitrary<'a> + Debug>(data: &'a [u8]) -> Option<P> {
    static SHOW: OnceLock<bool> = OnceLock::new();
    let plan = P::arbitrary_take_rest(Unstructured::new(data)).ok()?;
    if *SHOW.get_or_init(|| std::env::var_os("SHOW_PLAN").is_some()) {
        eprintln!("{plan:#?}");
    }
    Some(plan)
}
