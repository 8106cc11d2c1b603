//! Bayes curation: the distribution of a sample's true score given its own rating and its neighbors'.

use rayon::prelude::*;

use crate::evidence::{Evidence, Temper, check_same_classes, check_temper};
use crate::progress::tick;
use crate::rated::{CHUNK, LabelCounts, MAX_CLASSES, RatedPool};
use crate::scale::UNRATED;
use crate::transition::Model;
use crate::{Error, Progress, Result};

/// Chunks between two calls of the progress callback.
const CHUNKS_PER_TICK: usize = 64;

/// A pivot smaller than this means that the assumed rater noise cannot be undone.
const LEAST_PIVOT: f64 = 1e-12;

/// How a posterior becomes a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Share a of the neighbors' disagreement that is rater noise, in [0, 1]; 1 is the paper's assumption.
    pub noise_share: f64,
    /// Least posterior probability at which a score is replaced. Above 1 nothing is.
    pub threshold: f64,
    /// Whether an unrated sample gets the score its neighbors suggest.
    pub fill_missing: bool,
}

/// Per sample, what curation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Curated {
    /// Mean of the posterior, in [0, K-1]; rank by this.
    pub expected: Vec<f64>,
    /// `suggested` where its probability reaches the threshold, else the own score; -1 stays unless filled.
    pub curated: Vec<i8>,
    /// Most probable score; ties keep the own score, else the lower one wins.
    pub suggested: Vec<i8>,
    /// `p_misrated > 1/2`; false for an unrated sample.
    pub misrated: Vec<bool>,
    /// One minus the posterior of the own score; NaN for an unrated sample.
    pub p_misrated: Vec<f64>,
    /// Largest posterior probability.
    pub confidence: Vec<f64>,
    /// Entropy of the posterior in nats.
    pub entropy: Vec<f64>,
}

/// Assumed rater noise `T_a = (1 - a) I + a T` and the heterogeneity `R` of a neighborhood with `R T_a = T`.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// `(K, K)` row-major: true score -> rating.
    pub rater: Vec<f64>,
    /// `(K, K)` row-major: score shared with the neighbors -> true score.
    pub heterogeneity: Vec<f64>,
}

/// Split the apparent transition into rater noise and true differences between neighbors.
///
/// `R = T T_a^-1`, negative entries set to 0 and rows scaled to sum 1. From one rater and exchangeable
/// neighbors only the product is identified, so `noise_share` is an assumption. a = 1 gives R = I (the paper),
/// a = 0 gives `T_a = I`: the rater makes no mistakes. O(K^3).
///
/// # Errors
///
/// [`Error::Value`] if `noise_share` is not in [0, 1] or `T_a` has no inverse.
pub fn split_noise(model: Model<'_>, noise_share: f64) -> Result<Split> {
    if !(0.0..=1.0).contains(&noise_share) {
        return Err(Error::value(format!("noise_share must be in [0, 1], got {noise_share}")));
    }
    let classes = model.num_classes();
    let identity = |i: usize, j: usize| f64::from(u8::from(i == j));
    let each = || (0..classes).flat_map(|i| (0..classes).map(move |j| (i, j)));
    let rater: Vec<f64> =
        each().map(|(i, j)| (1.0 - noise_share) * identity(i, j) + noise_share * model.t(i, j)).collect();
    // T itself need not be invertible, but T T^-1 = I is what a = 1 means.
    let mut heterogeneity: Vec<f64> = if noise_share >= 1.0 {
        each().map(|(i, j)| identity(i, j)).collect()
    } else {
        let t: Vec<f64> = each().map(|(i, j)| model.t(i, j)).collect();
        divide_right(&t, &rater, classes).ok_or_else(|| {
            Error::value(format!(
                "T cannot be split at noise_share = {noise_share}: (1 - a) I + a T has no inverse"
            ))
        })?
    };
    for row in heterogeneity.chunks_exact_mut(classes) {
        let sum: f64 = row.iter().map(|value| value.max(0.0)).sum();
        for value in row {
            *value = value.max(0.0) / sum;
        }
    }
    Ok(Split { rater, heterogeneity })
}

/// `X = A B^-1` by Gauss-Jordan elimination on the columns of B; `None` if B is singular.
fn divide_right(a: &[f64], b: &[f64], classes: usize) -> Option<Vec<f64>> {
    let (mut x, mut b) = (a.to_vec(), b.to_vec());
    for step in 0..classes {
        let size = |column: usize| b[step * classes + column].abs();
        let pivot = (step..classes).reduce(|best, next| if size(next) > size(best) { next } else { best })?;
        if size(pivot) < LEAST_PIVOT {
            return None;
        }
        let scale = 1.0 / b[step * classes + pivot];
        let mut factors = b[step * classes..][..classes].to_vec();
        factors.swap(step, pivot);
        for row in x.chunks_exact_mut(classes).chain(b.chunks_exact_mut(classes)) {
            row.swap(step, pivot);
            row[step] *= scale;
            for column in (0..classes).filter(|&column| column != step) {
                row[column] -= factors[column] * row[step];
            }
        }
    }
    Some(x)
}

/// Curate every score.
///
/// `py = pz R` with pz of [`crate::evidence`], and the posterior is proportional to `py[y] T_a[y, own]`; an
/// unrated sample keeps `py`. See [`split_noise`] for R and `T_a`, [`Curated`] for the outputs.
///
/// # Errors
///
/// [`Error::Value`] if k, beta, `noise_share` or `threshold` is out of range; [`Error::Shape`] if model and
/// pool differ in K; [`Error::Interrupted`].
///
/// # Cost
///
/// O(N (k + K^2)); the same bits for any number of threads, since samples do not meet.
pub fn curate(
    pool: &RatedPool<'_>,
    model: Model<'_>,
    temper: Temper,
    rule: Rule,
    progress: Progress<'_>,
) -> Result<Curated> {
    let judge = Judge::new(pool, model, temper, rule.noise_share)?;
    if rule.threshold.is_nan() || rule.threshold < 0.0 {
        return Err(Error::value(format!("threshold must be >= 0, got {}", rule.threshold)));
    }
    let decision = Decision { threshold: rule.threshold, fill_missing: rule.fill_missing };
    curate_rows(
        pool,
        temper.k,
        decision,
        |counts, own| judge.posterior(pool.num_classes(), counts, own),
        progress,
    )
}

/// When a posterior replaces a score: see [`Rule`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) threshold: f64,
    pub(crate) fill_missing: bool,
}

/// Judge every sample by its posterior given the ratings of its k nearest neighbors and its own.
///
/// Entries of a posterior from K on are 0. Same bits for any number of threads, since samples do not meet.
pub(crate) fn curate_rows(
    pool: &RatedPool<'_>,
    k: usize,
    decision: Decision,
    posterior: impl Fn(LabelCounts, Option<usize>) -> [f64; MAX_CLASSES] + Sync,
    progress: Progress<'_>,
) -> Result<Curated> {
    let classes = pool.num_classes();
    let verdict = |row| {
        let mut counts = LabelCounts::default();
        pool.count_labels(row, 0..k, &mut counts);
        let own = pool.score(row);
        decision.verdict(&posterior(counts, own)[..classes], own)
    };
    let mut curated = Curated::with_capacity(pool.len());
    let starts: Vec<usize> = (0..pool.len()).step_by(CHUNK).collect();
    for block in starts.chunks(CHUNKS_PER_TICK) {
        let chunk = |&start: &usize| {
            let rows = start..pool.len().min(start + CHUNK);
            let mut chunk = Curated::with_capacity(rows.len());
            rows.for_each(|row| chunk.push(&verdict(row)));
            chunk
        };
        let chunks: Vec<Curated> = block.par_iter().map(chunk).collect();
        for chunk in &chunks {
            curated.extend(chunk);
        }
        tick(progress, curated.expected.len(), pool.len())?;
    }
    Ok(curated)
}

/// The posterior of the true score of some samples, `(rows, K)` row-major: what [`curate`] decides by.
///
/// Row by row `py[y] T_a[y, own]`, scaled to sum 1; for an unrated sample `py`.
///
/// # Errors
///
/// [`Error::Value`] if k, beta or `noise_share` is out of range, or a row is none of the pool's;
/// [`Error::Shape`] if model and pool differ in K.
///
/// # Cost
///
/// O(rows (k + K^2)).
pub fn posteriors(
    pool: &RatedPool<'_>,
    model: Model<'_>,
    temper: Temper,
    noise_share: f64,
    rows: &[u32],
) -> Result<Vec<f64>> {
    let judge = Judge::new(pool, model, temper, noise_share)?;
    posteriors_of(pool, temper.k, rows, |counts, own| judge.posterior(pool.num_classes(), counts, own))
}

/// The posteriors of some samples, `(rows, K)` row-major, by what [`curate_rows`] judges by.
pub(crate) fn posteriors_of(
    pool: &RatedPool<'_>,
    k: usize,
    rows: &[u32],
    posterior: impl Fn(LabelCounts, Option<usize>) -> [f64; MAX_CLASSES],
) -> Result<Vec<f64>> {
    let classes = pool.num_classes();
    let mut found = Vec::with_capacity(rows.len() * classes);
    for &row in rows {
        let row = row as usize;
        if row >= pool.len() {
            return Err(Error::value(format!("row {row} is none of the {} samples", pool.len())));
        }
        let mut counts = LabelCounts::default();
        pool.count_labels(row, 0..k, &mut counts);
        found.extend_from_slice(&posterior(counts, pool.score(row))[..classes]);
    }
    Ok(found)
}

/// What is concluded from one posterior; the fields are those of [`Curated`].
pub(crate) struct Verdict {
    pub(crate) expected: f64,
    pub(crate) curated: i8,
    suggested: i8,
    misrated: bool,
    p_misrated: f64,
    confidence: f64,
    entropy: f64,
}

impl Decision {
    /// Judge one sample by its posterior `(K,)`.
    pub(crate) fn verdict(self, posterior: &[f64], own: Option<usize>) -> Verdict {
        // Only a strictly more probable score takes over: ties keep the own score, else the lower one.
        let mut suggested = own.unwrap_or(0);
        for y in 0..posterior.len() {
            if posterior[y] > posterior[suggested] {
                suggested = y;
            }
        }
        let confidence = posterior[suggested];
        let p_misrated = own.map_or(f64::NAN, |own| 1.0 - posterior[own]);
        let entropy = posterior.iter().filter(|&&q| q > 0.0).map(|q| -q * q.ln()).sum();
        let replaces = confidence >= self.threshold && (own.is_some() || self.fill_missing);
        Verdict {
            expected: posterior.iter().enumerate().map(|(y, q)| y as f64 * q).sum(),
            curated: if replaces { as_score(suggested) } else { own.map_or(UNRATED, as_score) },
            suggested: as_score(suggested),
            misrated: p_misrated > 0.5,
            p_misrated,
            confidence,
            entropy,
        }
    }
}

impl Curated {
    fn with_capacity(len: usize) -> Self {
        Self {
            expected: Vec::with_capacity(len),
            curated: Vec::with_capacity(len),
            suggested: Vec::with_capacity(len),
            misrated: Vec::with_capacity(len),
            p_misrated: Vec::with_capacity(len),
            confidence: Vec::with_capacity(len),
            entropy: Vec::with_capacity(len),
        }
    }

    fn push(&mut self, verdict: &Verdict) {
        self.expected.push(verdict.expected);
        self.curated.push(verdict.curated);
        self.suggested.push(verdict.suggested);
        self.misrated.push(verdict.misrated);
        self.p_misrated.push(verdict.p_misrated);
        self.confidence.push(verdict.confidence);
        self.entropy.push(verdict.entropy);
    }

    fn extend(&mut self, next: &Self) {
        self.expected.extend_from_slice(&next.expected);
        self.curated.extend_from_slice(&next.curated);
        self.suggested.extend_from_slice(&next.suggested);
        self.misrated.extend_from_slice(&next.misrated);
        self.p_misrated.extend_from_slice(&next.p_misrated);
        self.confidence.extend_from_slice(&next.confidence);
        self.entropy.extend_from_slice(&next.entropy);
    }
}

struct Judge<'a> {
    evidence: Evidence<'a>,
    split: Split,
    temper: Temper,
}

impl<'a> Judge<'a> {
    fn new(pool: &RatedPool<'_>, model: Model<'a>, temper: Temper, noise_share: f64) -> Result<Self> {
        check_same_classes(pool, model)?;
        check_temper(pool, temper)?;
        Ok(Self { evidence: Evidence::new(model), split: split_noise(model, noise_share)?, temper })
    }

    /// Posterior over the true score; entries from K on are 0.
    fn posterior(&self, classes: usize, counts: LabelCounts, own: Option<usize>) -> [f64; MAX_CLASSES] {
        let shared = self.evidence.shared_score(counts, self.temper.beta);
        let mut posterior = [0.0; MAX_CLASSES];
        for (z, &weight) in shared[..classes].iter().enumerate() {
            let row = &self.split.heterogeneity[z * classes..][..classes];
            (0..classes).for_each(|y| posterior[y] += weight * row[y]);
        }
        let Some(own) = own else { return posterior };
        (0..classes).for_each(|y| posterior[y] *= self.split.rater[y * classes + own]);
        normalize_or_keep(&mut posterior[..classes], own);
        posterior
    }
}

/// Scale a posterior to sum 1. Where neighbors and own rating exclude each other beyond the range of f64, the
/// rating stands.
pub(crate) fn normalize_or_keep(posterior: &mut [f64], own: usize) {
    let sum: f64 = posterior.iter().sum();
    if sum > 0.0 {
        for value in posterior {
            *value /= sum;
        }
    } else {
        posterior.fill(0.0);
        posterior[own] = 1.0;
    }
}

/// A class index as a score; classes stay below [`MAX_CLASSES`].
fn as_score(class: usize) -> i8 {
    i8::try_from(class).expect("a class is below 16")
}

#[cfg(test)]
mod tests;
