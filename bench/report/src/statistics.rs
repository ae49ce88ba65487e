//! Medians, spreads, and the confidence intervals of ratios.

use serde::Serialize;

/// The number of bootstrap samples.
const DRAWS: usize = 10_000;

/// The middle value; for an even number of values, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The quantile of `share`, interpolated between two values.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    Some(low + (high - low) * rank.fract())
}

/// The distance between the quartiles, as a share of the median.
pub(crate) fn spread(values: &[f64]) -> Option<f64> {
    Some((quantile(values, 0.75)? - quantile(values, 0.25)?) / median(values)?)
}

/// A median, and its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The median of `ratios`, one for each pair of runs, with its bootstrap interval: the spread of the medians of samples that
/// are drawn from the same ratios. The draws are the same each time.
pub(crate) fn estimate(ratios: &[f64]) -> Option<Estimate> {
    let middle = median(ratios)?;
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut sample = vec![0.0; ratios.len()];
    let mut medians = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        sample.iter_mut().for_each(|value| *value = ratios[random.usize(..ratios.len())]);
        medians.push(median(&sample)?);
    }
    Some(Estimate { median: middle, low: quantile(&medians, 0.025)?, high: quantile(&medians, 0.975)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(quantile(&[0.0, 10.0], 0.25), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(spread(&[1.0, 2.0, 3.0]), Some(0.5));
    }

    #[test]
    fn an_estimated_interval_contains_its_median_and_is_the_same_each_time() {
        let ratios: Vec<f64> = (0..21).map(|index| 1.0 + f64::from(index) / 100.0).collect();
        let found = estimate(&ratios).unwrap();
        assert_eq!(found.median, 1.1);
        assert!(1.0 < found.low && found.low < 1.1 && 1.1 < found.high && found.high < 1.2, "{found:?}");
        assert_eq!(estimate(&ratios), Some(found));
    }

    #[test]
    fn the_interval_of_equal_values_is_a_point() {
        assert_eq!(estimate(&[2.0; 5]), Some(Estimate { median: 2.0, low: 2.0, high: 2.0 }));
    }
}
