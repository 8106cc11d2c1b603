//! The lexical space: texts as unit rows by the words they share, without a model.
//!
//! Text -> tokens (`tokens`) -> TF-IDF over the terms of a sample (`vocabulary`) -> the leading directions of
//! the sample (`svd`) -> every text projected on them and scaled to unit length.
//!
//! Why these weights and this many directions: Spearman correlation of a rating with the mean rating of the
//! 10 nearest other texts, 4,000 queries (10,000 for the weights), November 2026, `benches/bench_lexical.py`.
//! The standard error is about .01, and .005. Alpaca is 52,002 samples rated by gpt-4o-mini / llama-3.1-8b /
//! mistral-7b; TREC 25,069 passages and SST 40,000 phrases with human labels.
//!
//! | space | Alpaca | TREC | SST |
//! |---|---|---|---|
//! | **256 directions** | .623 / .377 / .322 | .570 | .434 |
//! | 128, 64 directions | .620 / .373 / .316, .613 / .377 / .317 | | |
//! | times, over the singular values | .624 / .365 / .318, .588 / .353 / .298 | | |
//! | weights as they are here (10,000 queries) | .631 / .366 / .307 | .567 | .435 |
//! | every term once (10,000 queries) | .634 / .373 / .323 | .537 | .436 |
//! | square root of the rarity (10,000 queries) | .631 / .381 / .303 | .565 | .406 |
//! | sample of 5,000, 10,000, 50,000 (scikit-learn) | .628, .621, .620 (gpt-4o-mini) | | |
//! | with 0.3 log length as one more column | .651 / .394 / .336 | .574 | .422 |
//! | all-MiniLM-L6-v2 | .629 / .323 / .321 | | |
//! | joined with it, weight 1 (0.5) | .657 / .366 / .340 (.648 / .351 / .333) | | |
//!
//! Length is left out on purpose: raters like long texts, and a space that knows the length would pass this
//! taste on to the neighbors, which are there to judge the rating.

pub(crate) mod dense;
mod eigen;
#[cfg(test)]
mod naive;
mod sparse;
mod svd;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
mod vocabulary;

use rayon::prelude::*;

use self::dense::narrow;
use self::sparse::{Sparse, SparseRow, add_rows};
use self::svd::{Svd, truncated_svd};
use self::tokens::Tokenizer;
use self::vocabulary::{Candidates, Vocabulary};
use crate::progress::{Progress, tick};
use crate::workers::Workers;
use crate::{Error, Result};

/// Texts the directions are fitted on, at most.
const SAMPLE: usize = 20_000;

/// Texts between two calls of `progress`.
const WAVE: usize = 8192;

/// Texts one task takes at a time.
const TASK: usize = 64;

/// A text (of unit TF-IDF length) whose projection is shorter than this has nothing in the space: what is left
/// of it is rounding, and scaling it up would make it a random direction.
const FAINT: f64 = 1e-5;

/// How to make the space.
#[derive(Debug, Clone)]
pub struct LexicalOptions {
    /// Directions, d: columns of the result, at least 1.
    pub dim: usize,
    /// Seed of the random start of the decomposition.
    pub seed: u64,
    /// Threads to use, at least 1; `None` takes rayon's global pool (one thread per core).
    pub threads: Option<usize>,
}

impl Default for LexicalOptions {
    /// 256 directions, seed 42, all cores.
    fn default() -> Self {
        Self { dim: 256, seed: 42, threads: None }
    }
}

/// Texts as rows of the lexical space.
#[derive(Debug, Clone, PartialEq)]
pub struct Lexical {
    /// Unit rows, `N * dim` values. Columns from the rank on are zero.
    pub rows: Vec<f32>,
    /// Number of columns, d.
    pub dim: usize,
    /// Rows that are zero, ascending: their texts share no term with the sample.
    pub unknown: Vec<u32>,
    /// Number of terms, V.
    pub terms: usize,
    /// Number of texts the directions were fitted on.
    pub sampled: usize,
    /// The singular values of the directions, descending; as many as the rank, at most `dim`.
    pub singular_values: Vec<f64>,
}

/// Place texts in the lexical space fitted on them.
///
/// A text weighs term `t` by `(1 + ln tf) * (1 + ln((1 + N) / (1 + df)))`, `tf` its count in the text and
/// `df` the number of texts that have it, scaled to unit length. The leading `dim` right singular vectors of
/// the weights of the texts `0, s, 2s, ...`, `s = ceil(N / 20,000)`, are the directions; a row is the
/// projection of its text's weights on them, scaled to unit length. Terms are the tokens (lower-cased words,
/// numbers, single symbols, pairs of characters in scripts without spaces) that occur in the sample and in at
/// least two texts, at most 131,072, the most frequent first.
///
/// Up to 20,000 texts, similarities do not depend on their order but for rounding; beyond, another order
/// means another sample and so slightly different directions. The bits depend on the texts, their order,
/// `dim` and `seed`, not on the threads.
///
/// # Errors
///
/// [`Error::Value`] if `dim` or `threads` is 0; [`Error::Shape`] if there are more rows than a `u32` counts;
/// [`Error::Interrupted`] if `progress` asks to stop. `progress` counts rows: counting, decomposition and
/// projection fill a third each.
///
/// # Cost
///
/// Texts are read twice, the sample two more times. Time: `O(nnz * dim)` for the projection, `nnz` the number
/// of different terms summed over the texts, and about `2 * 7 * nnz_sample * (dim + 24) + 4 * (20,000 + V) *
/// (dim + 24)^2` for the decomposition. Memory beside the result: `8 * V * (dim + 24)` bytes and three times
/// the sample's rows, whatever N.
///
/// # Examples
///
/// ```
/// use ds2_core::lexical::{LexicalOptions, embed};
///
/// let texts = ["the cat sat", "a cat sat down", "the stock fell", "a stock fell again"];
/// let options = LexicalOptions { dim: 2, ..LexicalOptions::default() };
/// let lexical = embed(&texts, &options, &mut |_, _| true)?;
/// let row = |i: usize| &lexical.rows[2 * i..2 * i + 2];
/// let similarity = |i, j| row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum::<f32>();
/// assert!(similarity(0, 1) > similarity(0, 3));
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn embed<S: AsRef<str> + Sync>(
    texts: &[S],
    options: &LexicalOptions,
    progress: Progress<'_>,
) -> Result<Lexical> {
    let (len, dim) = (texts.len(), options.dim);
    let space = Space::fit(texts, options, progress)?;
    let (rows, unknown) = space.project(texts, dim, &mut |done, _| progress(len - (len - done) / 3, len))?;
    Ok(Lexical {
        rows,
        dim,
        unknown,
        terms: space.vocabulary.len(),
        sampled: space.sampled,
        singular_values: space.svd.singular_values,
    })
}

/// Place other texts in the space fitted on `texts`, as [`embed`] fits it: where a text of the pool gets its
/// own row, and another what it shares with the pool.
///
/// Returns unit rows, `others.len() * dim` values; zero for a text without a term of the space.
///
/// # Errors
///
/// As [`embed`]. `progress` counts rows of the pool, each half of the fit a half.
///
/// # Cost
///
/// That of [`embed`] without the projection of the pool: three quarters of its time on Alpaca (52,002 texts).
///
/// # Examples
///
/// ```
/// use ds2_core::lexical::{LexicalOptions, embed, place};
///
/// let texts = ["the cat sat", "a cat sat down", "the stock fell", "a stock fell again"];
/// let options = LexicalOptions { dim: 2, ..LexicalOptions::default() };
/// let rows = place(&["the cat sat", "zebra"], &texts, &options, &mut |_, _| true)?;
/// assert_eq!(rows[..2], embed(&texts, &options, &mut |_, _| true)?.rows[..2]);
/// assert_eq!(rows[2..], [0.0, 0.0]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn place<S: AsRef<str> + Sync, O: AsRef<str> + Sync>(
    others: &[O],
    texts: &[S],
    options: &LexicalOptions,
    progress: Progress<'_>,
) -> Result<Vec<f32>> {
    let len = texts.len();
    let space = Space::fit(texts, options, &mut |done, _| progress(done + done / 2, len))?;
    let (rows, _) = space.project(others, options.dim, &mut |_, _| progress(len, len))?;
    Ok(rows)
}

/// A fitted space: terms with their weights, and directions.
struct Space {
    vocabulary: Vocabulary,
    svd: Svd,
    sampled: usize,
    workers: Workers,
}

impl Space {
    /// Learn the terms of the texts, and the directions of their sample. `progress` goes to two thirds.
    fn fit<S: AsRef<str> + Sync>(
        texts: &[S],
        options: &LexicalOptions,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let len = texts.len();
        if options.dim == 0 {
            return Err(Error::value("dim must be at least 1, got 0"));
        }
        if u32::try_from(len).is_err() {
            return Err(Error::shape(format!("at most {} texts can be numbered, got {len}", u32::MAX)));
        }
        let workers = Workers::new(options.threads)?;
        let sample: Vec<&str> =
            texts.iter().step_by(len.div_ceil(SAMPLE).max(1)).map(AsRef::as_ref).collect();
        let vocabulary = learn_terms(texts, &sample, &workers, progress)?;
        let matrix = workers.run(|| weigh_sample(&sample, &vocabulary));
        let mut step = 0;
        let svd = truncated_svd(&matrix, options.dim, options.seed, &workers, &mut || {
            step += 1;
            tick(progress, len / 3 + len * step / (3 * svd::PAUSES), len)
        })?;
        Ok(Self { vocabulary, svd, sampled: sample.len(), workers })
    }

    /// Every text's weights times the loadings, scaled to unit length; and the rows that are zero.
    fn project<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        dim: usize,
        progress: Progress<'_>,
    ) -> Result<(Vec<f32>, Vec<u32>)> {
        let len = texts.len();
        let mut rows = vec![0.0; len * dim];
        let mut unknown = Vec::new();
        for (wave, (texts, out)) in texts.chunks(WAVE).zip(rows.chunks_mut(WAVE * dim)).enumerate() {
            tick(progress, wave * WAVE, len)?;
            let known: Vec<bool> = self.workers.run(|| {
                let place = |(tokenizer, weights): &mut (Tokenizer, SparseRow),
                             (text, row): (&S, &mut [f32])| {
                    self.vocabulary.weigh(text.as_ref(), tokenizer, weights);
                    add_rows(row, &weights.columns, &weights.values, &self.svd.loadings);
                    scale_to_unit(row)
                };
                texts
                    .par_iter()
                    .zip(out.par_chunks_mut(dim))
                    .with_min_len(TASK)
                    .map_init(Default::default, place)
                    .collect()
            });
            let numbers = (wave * WAVE..).zip(known).filter(|&(_, known)| !known);
            unknown.extend(numbers.map(|(row, _)| u32::try_from(row).expect("the texts can be numbered")));
        }
        tick(progress, len, len)?;
        Ok((rows, unknown))
    }
}

/// Collect the sample's tokens and count in how many texts of the pool each occurs.
fn learn_terms<S: AsRef<str> + Sync>(
    texts: &[S],
    sample: &[&str],
    workers: &Workers,
    progress: Progress<'_>,
) -> Result<Vocabulary> {
    tick(progress, 0, texts.len())?;
    let candidates = workers.run(|| Candidates::gather(sample));
    let mut counts = vec![0; candidates.len()];
    for (wave, texts_of_wave) in texts.chunks(WAVE).enumerate() {
        tick(progress, wave * WAVE / 3, texts.len())?;
        counts = vocabulary::add(counts, &workers.run(|| candidates.count(texts_of_wave)));
    }
    Ok(candidates.into_vocabulary(&counts, texts.len()))
}

/// The TF-IDF weights of the sample, one row a text.
fn weigh_sample(sample: &[&str], vocabulary: &Vocabulary) -> Sparse {
    let rows: Vec<SparseRow> = sample
        .par_iter()
        .with_min_len(TASK)
        .map_init(Tokenizer::default, |tokenizer, text| {
            let mut row = SparseRow::default();
            vocabulary.weigh(text, tokenizer, &mut row);
            row
        })
        .collect();
    let mut matrix = Sparse::new(vocabulary.len());
    for row in &rows {
        matrix.push(row);
    }
    matrix
}

/// Scale a row to unit length, or to zero if it is too short to mean anything; whether it is not zero.
fn scale_to_unit(row: &mut [f32]) -> bool {
    let length = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
    let known = length > FAINT;
    let scale = if known { 1.0 / length } else { 0.0 };
    for value in row {
        *value = narrow(f64::from(*value) * scale);
    }
    known
}
