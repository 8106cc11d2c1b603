//! What an audit measured, and the scores judged by it.

use crate::curation::{Curated, Decision, curate_rows, normalize_or_keep, posteriors_of};
use crate::evidence::{Evidence, Temper, check_same_classes, check_temper};
use crate::rated::{LabelCounts, MAX_CLASSES, RatedPool};
use crate::transition::Model;
use crate::{Error, Progress, Result};

/// What an audit measured: T^, p^ and gamma.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditModel {
    /// T^ `(K, K)` row-major: gold score -> rating.
    pub t: Vec<f64>,
    /// p^ `(K,)`, distribution of the gold score.
    pub p: Vec<f64>,
    /// Weight of the neighbors, in [0, 1]; 0 = they know nothing about the gold score.
    pub gamma: f64,
}

impl AuditModel {
    fn check(&self, pool: &RatedPool<'_>) -> Result<()> {
        check_same_classes(pool, Model::new(&self.t, &self.p)?)?;
        if !(0.0..=1.0).contains(&self.gamma) {
            return Err(Error::value(format!("gamma must be in [0, 1], got {}", self.gamma)));
        }
        Ok(())
    }

    /// `p^[y] T^[y, own] exp(gamma evidence[y])`, scaled to sum 1; entries from K on are 0.
    pub(super) fn posterior(&self, own: Option<usize>, evidence: &[f64; MAX_CLASSES]) -> [f64; MAX_CLASSES] {
        let classes = self.p.len();
        let mut posterior = [0.0; MAX_CLASSES];
        for y in 0..classes {
            let rated = own.map_or(1.0, |own| self.t[y * classes + own]);
            posterior[y] = self.p[y] * rated * (self.gamma * evidence[y]).exp();
        }
        normalize_or_keep(&mut posterior[..classes], own.unwrap_or(0));
        posterior
    }
}

/// Hears the neighbors, and judges by what was measured.
struct Judge<'a> {
    evidence: Evidence<'a>,
    beta: f64,
    measured: &'a AuditModel,
}

impl<'a> Judge<'a> {
    fn new(pool: &RatedPool<'_>, model: Model<'a>, temper: Temper, measured: &'a AuditModel) -> Result<Self> {
        check_same_classes(pool, model)?;
        check_temper(pool, temper)?;
        measured.check(pool)?;
        Ok(Self { evidence: Evidence::new(model), beta: temper.beta, measured })
    }

    fn posterior(&self, counts: LabelCounts, own: Option<usize>) -> [f64; MAX_CLASSES] {
        let tempered = self.evidence.log_likelihood(counts).map(|value| self.beta * value);
        self.measured.posterior(own, &tempered)
    }
}

/// Curate every score by what an audit measured; see the module.
///
/// Classes that nobody was audited in keep their pseudo-counts. `threshold` and `fill_missing` are those of
/// [`crate::curation::Rule`]; a threshold above 1 leaves every hard label alone.
///
/// # Errors
///
/// [`Error::Value`] if k, beta, gamma or `threshold` is out of range, or T^ and p^ are no probabilities;
/// [`Error::Shape`] if sizes do not fit; [`Error::Interrupted`].
///
/// # Cost
///
/// O(N (k + K^2)); the same bits for any number of threads.
pub fn curate_audited(
    pool: &RatedPool<'_>,
    model: Model<'_>,
    temper: Temper,
    measured: &AuditModel,
    threshold: f64,
    fill_missing: bool,
    progress: Progress<'_>,
) -> Result<Curated> {
    let judge = Judge::new(pool, model, temper, measured)?;
    if threshold.is_nan() || threshold < 0.0 {
        return Err(Error::value(format!("threshold must be >= 0, got {threshold}")));
    }
    let decision = Decision { threshold, fill_missing };
    curate_rows(pool, temper.k, decision, |counts, own| judge.posterior(counts, own), progress)
}

/// The posterior of the true score of some samples, `(rows, K)` row-major: what [`curate_audited`] decides by.
///
/// # Errors
///
/// [`Error::Value`] if k, beta or gamma is out of range, T^ and p^ are no probabilities, or a row is none of the
/// pool's; [`Error::Shape`] if sizes do not fit.
///
/// # Cost
///
/// O(rows (k + K^2)).
pub fn audited_posteriors(
    pool: &RatedPool<'_>,
    model: Model<'_>,
    temper: Temper,
    measured: &AuditModel,
    rows: &[u32],
) -> Result<Vec<f64>> {
    let judge = Judge::new(pool, model, temper, measured)?;
    posteriors_of(pool, temper.k, rows, |counts, own| judge.posterior(counts, own))
}
