//! The terms of a pool: which tokens get a column, and how much each weighs.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rayon::prelude::*;

use super::TASK;
use super::dense::narrow;
use super::sparse::SparseRow;
use super::tokens::Tokenizer;

/// A token in fewer texts than this makes no two texts alike, so it is no term.
const LEAST_TEXTS: u32 = 2;

/// Most terms kept, the most frequent first. 52,002 Alpaca samples have 22,261 and a mixed pool of 341,612 has
/// 50,719; the bound is for pools of very long texts, where it holds the decomposition to some 300 MB.
const MOST_TERMS: usize = 1 << 17;

/// Tokens are hashed already; hashing them again would only cost time.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 tokens are hashed");
    }

    fn write_u64(&mut self, token: u64) {
        self.0 = token;
    }
}

/// Token -> number.
type Numbers = HashMap<u64, u32, BuildHasherDefault<Identity>>;

/// The tokens of the sampled texts. Others can have no place in the space, so they are not even counted: the
/// memory depends on the sample, not on the pool.
pub(super) struct Candidates(Numbers);

impl Candidates {
    /// Number the different tokens of the sampled texts.
    pub(super) fn gather(texts: &[&str]) -> Self {
        let tokens = texts.par_chunks(TASK).flat_map_iter(|texts| {
            let mut tokenizer = Tokenizer::default();
            let mut tokens = Vec::new();
            for text in texts {
                tokenizer.count(text, |token, _| tokens.push(token));
            }
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        });
        let mut tokens: Vec<u64> = tokens.collect();
        tokens.par_sort_unstable();
        tokens.dedup();
        Self(tokens.into_iter().zip(0..).collect())
    }

    /// Number of candidates.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// In how many of `texts` each candidate occurs. Whole numbers add up to the same in any order.
    pub(super) fn count<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Vec<u32> {
        let none = || vec![0_u32; self.len()];
        let tally = |mut counts: Vec<u32>, texts: &[S]| {
            let mut tokenizer = Tokenizer::default();
            for text in texts {
                tokenizer.count(text.as_ref(), |token, _| {
                    if let Some(&number) = self.0.get(&token) {
                        counts[number as usize] += 1;
                    }
                });
            }
            counts
        };
        texts.par_chunks(TASK).fold(none, tally).reduce(none, |a, b| add(a, &b))
    }

    /// Keep the terms: tokens in at least two of `len` texts, the most frequent 131,072 of them.
    ///
    /// Terms are numbered by falling frequency, so that the loadings most often read lie together.
    pub(super) fn into_vocabulary(self, counts: &[u32], len: usize) -> Vocabulary {
        let mut kept: Vec<(u64, u32)> = self
            .0
            .into_iter()
            .map(|(token, number)| (token, counts[number as usize]))
            .filter(|&(_, count)| count >= LEAST_TEXTS)
            .collect();
        kept.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        kept.truncate(MOST_TERMS);
        let rarity = kept.iter().map(|&(_, count)| rarity(count, len)).collect();
        let numbers = kept.iter().zip(0..).map(|(&(token, _), number)| (token, number)).collect();
        Vocabulary { numbers, rarity }
    }
}

/// The sum of two counts, term by term.
pub(super) fn add(mut counts: Vec<u32>, more: &[u32]) -> Vec<u32> {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
    counts
}

/// Smooth inverse document frequency, `1 + ln((1 + N) / (1 + df))`.
fn rarity(count: u32, len: usize) -> f64 {
    1.0 + ((1.0 + len as f64) / (1.0 + f64::from(count))).ln()
}

/// The terms and their weights.
pub(super) struct Vocabulary {
    numbers: Numbers,
    rarity: Vec<f64>,
}

impl Vocabulary {
    /// Number of terms.
    pub(super) fn len(&self) -> usize {
        self.rarity.len()
    }

    /// The weights of `text`'s terms, scaled to unit length: `(1 + ln tf) * rarity`. Empty without a term.
    pub(super) fn weigh(&self, text: &str, tokenizer: &mut Tokenizer, row: &mut SparseRow) {
        row.columns.clear();
        row.values.clear();
        let mut square = 0.0;
        tokenizer.count(text, |token, count| {
            if let Some(&number) = self.numbers.get(&token) {
                let weight = (1.0 + f64::from(count).ln()) * self.rarity[number as usize];
                square += weight * weight;
                row.columns.push(number);
                row.values.push(narrow(weight));
            }
        });
        let scale = narrow(1.0 / f64::sqrt(square));
        row.values.iter_mut().for_each(|weight| *weight *= scale);
    }
}
