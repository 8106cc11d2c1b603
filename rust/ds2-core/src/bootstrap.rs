//! How far T and p could be off: intervals from resampled blocks of neighbors.
//!
//! Counts of neighboring samples overlap, so single samples cannot be resampled as if each stood for itself.
//! The pool is cut into blocks of samples that are each other's neighbors; a replicate draws as many blocks as
//! there are, with replacement. Triples of samples that lie in several blocks follow each of them: with
//! `D[b]` the counts of all triples that touch block b, drawn `v[b]` times, the counts of a replicate are
//! `C + sum_b (v[b] - 1) D[b]`. That is the U-statistic bootstrap to first order, and the ordinary block
//! bootstrap where no triple crosses a border.

use rayon::prelude::*;

use crate::blocks::Blocks;
use crate::consensus::{Consensus, Triples, count_consensus};
use crate::em::{Fit, Problem};
use crate::random::Stream;
use crate::rated::{MAX_CLASSES, RatedPool};
use crate::transition::{LEAST_SAMPLES, MAX_STEPS, Prior, observed_classes};
use crate::{Error, Result};

/// Share of replicates an interval holds; as many lie below it as above.
pub const LEVEL: f64 = 0.95;

/// Blocks below which a bootstrap says nothing: every interval is then as wide as can be.
pub const LEAST_BLOCKS: usize = 10;

/// E-steps of a replicate's fit, at most.
const STEPS: usize = 150;

/// Nats a cycle must gain for the fit of a replicate to go on: an interval of 95 % spans 2.
const LEAST_GAIN: f64 = 1e-3;

/// Whole numbers in place of counts: sums are exact and do not depend on who adds first.
const UNIT: u64 = 1 << 32;

/// How to resample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// Replicates, at least 1.
    pub replicates: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// The middle [`LEVEL`] of the replicates of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    const UNKNOWN: Self = Self { low: 0.0, high: 1.0 };

    /// Quantiles of `values`, linear between their order statistics.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - LEVEL) / 2.0;
        Self { low: quantile(&values, tail), high: quantile(&values, 1.0 - tail) }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among the values")]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

/// Intervals of T and p.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervals {
    /// Intervals of T `(K, K)`, row-major; 0..1 in the rows of classes that are not identified.
    pub t: Vec<Interval>,
    /// Intervals of p `(K,)`.
    pub p: Vec<Interval>,
    /// Per class: share of the replicates in which column i of T has its maximum in row i; 0 for classes that
    /// are not identified.
    pub settled: Vec<f64>,
}

/// Intervals of the T and p that [`fit_transition`](crate::transition::fit_transition) fits to
/// [`count_consensus`] of k neighbors.
///
/// They tell how much T and p would vary over pools drawn and rated like this one. They hold the neighbor graph
/// for given, the model for true (a sample and its neighbors share their true score and are rated
/// independently) and the prior for part of the estimate; where samples that are no neighbors err together,
/// they are too narrow.
///
/// # Errors
///
/// As [`count_consensus`]; [`Error::Shape`] if `blocks` are another pool's; [`Error::Value`] if `strength` is negative or not finite, or there is no replicate.
///
/// # Cost
///
/// `blocks` are those of [`join_neighbors`](crate::blocks::join_neighbors). O(N k (log k + K^2) + replicates (blocks K^3 + 150 K^4)), independent of the thread count to the last bit.
pub fn bootstrap_transition(
    pool: &RatedPool<'_>,
    k: usize,
    prior: Prior,
    strength: Option<f64>,
    blocks: &Blocks,
    resampling: Resampling,
) -> Result<Intervals> {
    check(pool, blocks, resampling)?;
    let classes = pool.num_classes();
    let counts = count_consensus(pool, k)?;
    let strength = prior.strength(strength, counts.total())?;
    let mut out = Intervals {
        t: vec![Interval::UNKNOWN; classes * classes],
        p: vec![Interval::UNKNOWN; classes],
        settled: vec![0.0; classes],
    };
    if blocks.count < LEAST_BLOCKS || observed_classes(&counts).len() < 2 {
        return Ok(out);
    }
    let refit = Refit::new(pool, blocks, counts, (prior, strength), |_| k);
    let fits = resample(blocks.count, resampling, |draws| refit.replicate(draws));
    let pick = |value: &dyn Fn(&Fit) -> f64| Interval::of(fits.iter().map(value).collect());
    for (i, &class) in refit.observed.iter().enumerate() {
        out.p[class] = pick(&|fit| fit.p[i]);
    }
    let found = refit.identified();
    for &i in &found {
        let class = refit.observed[i];
        out.t[class * classes..][..classes].fill(Interval { low: 0.0, high: 0.0 });
        for (a, &score) in refit.observed.iter().enumerate() {
            out.t[class * classes + score] = pick(&|fit| fit.t[i * fit.p.len() + a]);
        }
        let tops = |fit: &&Fit| {
            let column = |j: usize| fit.t[j * fit.p.len() + i];
            found.iter().all(|&j| column(j) <= column(i))
        };
        out.settled[class] = fits.iter().filter(tops).count() as f64 / fits.len() as f64;
    }
    Ok(out)
}

pub(crate) fn check(pool: &RatedPool<'_>, blocks: &Blocks, resampling: Resampling) -> Result<()> {
    if blocks.of_row.len() != pool.len() {
        return Err(Error::shape(format!(
            "blocks hold {} rows, the pool {}",
            blocks.of_row.len(),
            pool.len()
        )));
    }
    if resampling.replicates == 0 {
        return Err(Error::value("replicates must be at least 1, got 0"));
    }
    Ok(())
}

/// `replicate(draws)` for every replicate, in order; `draws[b]` says how often block b was drawn.
pub(crate) fn resample<T: Send>(
    blocks: usize,
    resampling: Resampling,
    replicate: impl Fn(&[u32]) -> T + Sync,
) -> Vec<T> {
    (0..resampling.replicates as u64)
        .into_par_iter()
        .map(|round| {
            let mut stream = Stream::new(resampling.seed, round);
            let mut draws = vec![0; blocks];
            (0..blocks).for_each(|_| draws[stream.below(blocks)] += 1);
            replicate(&draws)
        })
        .collect()
}

/// A fit that can be had again from the counts of resampled blocks.
pub(crate) struct Refit {
    counts: Consensus,
    /// Counts of the triples that touch a block, `(blocks, cells)`.
    touched: Vec<f64>,
    pub(crate) observed: Vec<usize>,
    prior_rows: Vec<f64>,
    strength: f64,
    pub(crate) fit: Fit,
}

impl Refit {
    /// `counts` must be those of the first `heard(row)` neighbors of every row, and hold two scores or more.
    pub(crate) fn new(
        pool: &RatedPool<'_>,
        blocks: &Blocks,
        counts: Consensus,
        (prior, strength): (Prior, f64),
        heard: impl Fn(usize) -> usize + Sync,
    ) -> Self {
        let touched = touch_blocks(pool, blocks, heard);
        let observed = observed_classes(&counts);
        let prior_rows = prior.rows(pool.num_classes());
        let fit = Problem::new(&counts, &observed, &prior_rows, strength).solve(MAX_STEPS);
        Self { counts, touched, observed, prior_rows, strength, fit }
    }

    /// Places among the observed classes that have enough true samples.
    pub(crate) fn identified(&self) -> Vec<usize> {
        let total = self.counts.total();
        (0..self.observed.len()).filter(|&i| self.fit.p[i] * total >= LEAST_SAMPLES).collect()
    }

    pub(crate) fn replicate(&self, draws: &[u32]) -> Fit {
        let counts = self.counts.with_weights(&self.reweigh(draws));
        let problem = Problem::new(&counts, &self.observed, &self.prior_rows, self.strength);
        problem.refine(&self.fit, STEPS, LEAST_GAIN)
    }

    /// Counts of a replicate, scaled to the pool's total, so that the prior weighs as much as before.
    fn reweigh(&self, draws: &[u32]) -> Vec<f64> {
        let mut weights: Vec<f64> = self.counts.cells().iter().map(|cell| cell.weight).collect();
        let total: f64 = weights.iter().sum();
        for (touched, &drawn) in self.touched.chunks_exact(weights.len()).zip(draws) {
            if drawn != 1 {
                let more = f64::from(drawn) - 1.0;
                weights.iter_mut().zip(touched).for_each(|(weight, count)| *weight += more * count);
            }
        }
        // Rare triples that cross borders may come out negative.
        for weight in &mut weights {
            *weight = weight.max(0.0);
        }
        let drawn: f64 = weights.iter().sum();
        // Without a triple there is no fit; it takes a pool of a few samples to draw none.
        let scale = if drawn > 0.0 { total / drawn } else { 0.0 };
        weights.iter().map(|weight| weight * scale).collect()
    }
}

/// A rated neighbor: its block and its score.
type Heard = (u32, u8);

/// Counts of the triples (a sample and two of its first `heard(row)` neighbors, as in [`count_consensus`]) that
/// touch each block, `(blocks, cells)`.
fn touch_blocks(pool: &RatedPool<'_>, blocks: &Blocks, heard: impl Fn(usize) -> usize + Sync) -> Vec<f64> {
    let triples = Triples::new(pool.num_classes());
    let size = triples.len();
    // A tally per thread, not per chunk: they are large. Whole numbers, so how many there are does not show.
    let share = pool.len().div_ceil(rayon::current_num_threads()).max(1);
    let starts: Vec<usize> = (0..pool.len()).step_by(share).collect();
    let tallies: Vec<Vec<u64>> = starts
        .into_par_iter()
        .map(|start| {
            let mut tally = vec![0; blocks.count * size];
            let mut near: Vec<Heard> = Vec::new();
            for row in start..pool.len().min(start + share) {
                let Some(own) = pool.score(row) else { continue };
                near.clear();
                near.extend(pool.neighbors(row)[..heard(row)].iter().filter_map(|&other| {
                    let score = u8::try_from(pool.scores()[other as usize]).ok()?;
                    Some((blocks.of_row[other as usize], score))
                }));
                touch(&mut near, (blocks.of_row[row], own), &triples, &mut tally);
            }
            tally
        })
        .collect();
    let sum = |at: usize| tallies.iter().map(|tally| tally[at]).sum::<u64>() as f64 / UNIT as f64;
    (0..blocks.count * size).map(sum).collect()
}

/// Add the triples of one sample to all blocks they touch.
fn touch(near: &mut [Heard], (home, own): (u32, usize), triples: &Triples, tally: &mut [u64]) {
    if near.len() < 2 {
        return;
    }
    let unit = UNIT / (near.len() * (near.len() - 1) / 2) as u64;
    let cells = triples.len();
    let mut all = [0_u64; MAX_CLASSES];
    for &(_, score) in near.iter() {
        all[usize::from(score)] += 1;
    }
    near.sort_unstable();
    let mut add = |block: u32, group: &[u64; MAX_CLASSES], rest: &[u64; MAX_CLASSES]| {
        let tally = &mut tally[block as usize * cells..][..cells];
        for (b, &inside) in group.iter().enumerate().filter(|&(_, &inside)| inside > 0) {
            tally[triples.index(own, b, b)] += unit * (inside * (inside - 1) / 2);
            for (c, &other) in group.iter().enumerate().skip(b + 1).filter(|&(_, &other)| other > 0) {
                tally[triples.index(own, b, c)] += unit * inside * other;
            }
            for (c, &outside) in rest.iter().enumerate().filter(|&(_, &outside)| outside > 0) {
                tally[triples.index(own, b, c)] += unit * inside * outside;
            }
        }
    };
    add(home, &all, &[0; MAX_CLASSES]);
    for part in near.chunk_by(|one, next| one.0 == next.0).filter(|part| part[0].0 != home) {
        let mut group = [0; MAX_CLASSES];
        for &(_, score) in part {
            group[usize::from(score)] += 1;
        }
        let rest = std::array::from_fn(|c| all[c] - group[c]);
        add(part[0].0, &group, &rest);
    }
}

#[cfg(test)]
mod tests;
