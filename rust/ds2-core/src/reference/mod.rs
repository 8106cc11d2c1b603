//! Reference mode: the law of the published code, computed from one neighbor graph.
//!
//! The published code holds every sample twice, draws up to 50,000 of these copies without replacement in each
//! of many rounds, and searches neighbors anew inside each draw. A copy's neighbors inside a draw are its
//! nearest neighbors in the pool with the missing copies left out, so one graph of the whole pool gives
//!
//! 1. [`expected_consensus`]: the exact expectation of the consensus counts over all draws;
//! 2. [`fit_transition`]: the published fit of T and p to them;
//! 3. [`detect_misrated`]: the published detection, its rounds drawn by a counter-based generator.
//!
//! Unrated rows take no part: everything is computed as if they were not in the pool. A pool of N rated rows
//! asks for a graph whose lists are long enough to find ten drawn copies: 50 neighbors up to N = 100,000, 128
//! above. Both the truncated mass and the number of short lists are reported.

mod consensus;
mod detection;
mod fit;
mod objective;
mod share;
mod tally;
mod votes;

#[cfg(test)]
pub(crate) mod twin;

pub use consensus::{Consensus, expected_consensus};
pub use detection::{DetectionOptions, detect_misrated};
pub use fit::{Fit, UPDATES, fit_transition};
pub use tally::Detection;

pub(crate) use share::misrated_shares;

/// How the published code draws the rows of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Whether the pool holds every sample twice (the published code) or once (the paper).
    pub duplicate: bool,
    /// Most copies a round draws; `None` draws all copies.
    pub sample_size: Option<usize>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { duplicate: true, sample_size: Some(50_000) }
    }
}

impl Sampling {
    /// Copies of each rated row.
    #[must_use]
    pub fn copies(self) -> usize {
        1 + usize::from(self.duplicate)
    }

    /// Copies a round draws from a pool of `rated` rows: 9 in 10, at most `sample_size`.
    #[must_use]
    pub fn drawn(self, rated: usize) -> usize {
        let pool = rated * self.copies();
        self.sample_size.map_or(pool, |most| most.min(pool * 9 / 10))
    }

    /// f, the chance that a given other copy is drawn when one copy is: `(S - 1) / (copies - 1)`.
    #[must_use]
    pub fn share(self, rated: usize) -> f64 {
        let others = (rated * self.copies()).saturating_sub(1);
        if others == 0 { 0.0 } else { self.drawn(rated).saturating_sub(1) as f64 / others as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_nine_in_ten_up_to_the_sample_size() {
        let published = Sampling::default();
        assert_eq!(published.drawn(4_000), 7_200);
        assert_eq!(published.drawn(50_000), 50_000);
        assert!((published.share(4_000) - 7_199.0 / 7_999.0).abs() < 1e-15);
        let plain = Sampling { duplicate: false, sample_size: None };
        assert_eq!((plain.drawn(11), plain.share(11)), (11, 1.0));
        let once = Sampling { duplicate: false, sample_size: Some(50_000) };
        assert_eq!(once.drawn(11), 9);
        assert_eq!((published.share(0), plain.share(1)), (0.0, 0.0));
    }
}
