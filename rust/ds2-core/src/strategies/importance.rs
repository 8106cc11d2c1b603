//! Importance of texts for a target: how much likelier their words are there than in the pool.

use rayon::prelude::*;

use crate::lexical::tokens::{Tokenizer, mix};
use crate::progress::tick;
use crate::workers::Workers;
use crate::{Error, Progress, Result};

/// Texts between two calls of `progress`.
const WAVE: usize = 8192;
/// Texts one task takes at a time.
const TASK: usize = 64;

/// The log-weight of every text of a pool for a target, by hashed words and pairs of words.
///
/// Every token of a text and every pair of tokens that follow each other fall into one of `buckets` by their hash. The
/// weight of a text is the sum over these of `ln p - ln q`, where `p` is the share of the bucket among those of the
/// target texts and `q` among those of the pool, each share with `smoothing` more. So a text weighs
/// `ln (likelihood under the target / likelihood under the pool)` of a model that draws every one alone: long texts weigh
/// far from 0, and a text without a token weighs 0. (That shares with `smoothing` more sum to above 1 cancels: they do so
/// alike in `p` and `q`.) Drawn with
/// [`draw_tempered`](crate::strategies::tempered::draw_tempered) at a temperature of 1, these are the samples of
/// importance resampling.
///
/// Tokens are those of [`lexical`](crate::lexical): lower-cased words, numbers, single symbols, pairs of characters in
/// scripts without spaces. `smoothing` above 0 and finite. `progress` is called with (texts read, `2 N`).
///
/// Source: DSIR (arXiv 2302.03169), whose published code has 10,000 buckets and a `smoothing` of 1e-8. Its tokens
/// are runs of letters and digits and runs of symbols, hashed by SHA-256. Shares of no tokens at all are 0.
/// Texts are read twice; 8 bytes a text and `8 * buckets` a thread.
///
/// # Errors
///
/// [`Error::Value`] for no buckets, a `smoothing` that is not finite and above 0, no target text, threads = 0;
/// [`Error::Interrupted`] if `progress` asks to stop.
///
/// # Examples
///
/// ```
/// use ds2_core::strategies::importance::weigh_importance;
/// let pool = ["add two numbers", "a poem about the sea", "add three numbers"];
/// let weights = weigh_importance(&pool, &["add five numbers"], 10_000, 1e-8, None, &mut |_, _| true)?;
/// assert!(weights[0] > weights[1] && weights[2] > weights[1]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn weigh_importance<S: AsRef<str> + Sync>(
    texts: &[S],
    target: &[S],
    buckets: usize,
    smoothing: f64,
    threads: Option<usize>,
    progress: Progress<'_>,
) -> Result<Vec<f64>> {
    if buckets == 0 {
        return Err(Error::value("buckets must be at least 1, got 0"));
    }
    if !(smoothing.is_finite() && smoothing > 0.0) {
        return Err(Error::value(format!("smoothing must be finite and above 0, got {smoothing}")));
    }
    if target.is_empty() {
        return Err(Error::value("there must be at least 1 target text, got 0"));
    }
    let workers = Workers::new(threads)?;
    let wanted = workers.run(|| count(target, buckets));
    let mut there = vec![0; buckets];
    for (wave, texts_of_wave) in texts.chunks(WAVE).enumerate() {
        tick(progress, wave * WAVE, 2 * texts.len())?;
        there = add(there, &workers.run(|| count(texts_of_wave, buckets)));
    }
    let (p, q) = (log_shares(&wanted, smoothing), log_shares(&there, smoothing));
    let gains: Vec<f64> = p.iter().zip(&q).map(|(p, q)| p - q).collect();
    let mut weights = Vec::with_capacity(texts.len());
    for (wave, texts_of_wave) in texts.chunks(WAVE).enumerate() {
        tick(progress, texts.len() + wave * WAVE, 2 * texts.len())?;
        weights.extend(workers.run(|| weigh(texts_of_wave, &gains)));
    }
    tick(progress, 2 * texts.len(), 2 * texts.len())?;
    Ok(weights)
}

/// Call `each` with the bucket of every token and of every pair of tokens, in reading order.
fn for_buckets(tokens: &[u64], buckets: usize, mut each: impl FnMut(usize)) {
    let bucket =
        |hash: u64| usize::try_from((u128::from(hash) * buckets as u128) >> 64).expect("below `buckets`");
    for &token in tokens {
        each(bucket(token));
    }
    for pair in tokens.windows(2) {
        // Turned, so that a pair is not the pair in the other order.
        each(bucket(mix(pair[0].rotate_left(23) ^ pair[1])));
    }
}

fn count<S: AsRef<str> + Sync>(texts: &[S], buckets: usize) -> Vec<u64> {
    let none = || (Tokenizer::default(), vec![0_u64; buckets]);
    let counted = texts.par_iter().with_min_len(TASK).fold(none, |(mut tokenizer, mut counts), text| {
        for_buckets(tokenizer.read(text.as_ref()), buckets, |bucket| counts[bucket] += 1);
        (tokenizer, counts)
    });
    counted.map(|(_, counts)| counts).reduce(|| vec![0; buckets], |a, b| add(a, &b))
}

fn add(mut counts: Vec<u64>, more: &[u64]) -> Vec<u64> {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
    counts
}

fn log_shares(counts: &[u64], smoothing: f64) -> Vec<f64> {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|&count| (count as f64 / total + smoothing).ln()).collect()
}

fn weigh<S: AsRef<str> + Sync>(texts: &[S], gains: &[f64]) -> Vec<f64> {
    let weight = |tokenizer: &mut Tokenizer, text: &S| {
        let mut sum = 0.0;
        for_buckets(tokenizer.read(text.as_ref()), gains.len(), |bucket| sum += gains[bucket]);
        sum
    };
    texts.par_iter().with_min_len(TASK).map_init(Tokenizer::default, weight).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// The slow twin: words told apart by spaces, counted by name, in so many buckets that (nearly) none is shared.
    fn slow(texts: &[String], target: &[String], smoothing: f64) -> Vec<f64> {
        let grams = |text: &str| -> Vec<String> {
            let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
            let pairs = words.windows(2).map(|pair| pair.join(" "));
            words.iter().map(ToString::to_string).chain(pairs).collect()
        };
        let count = |texts: &[String]| -> HashMap<String, f64> {
            let mut counts = HashMap::new();
            texts
                .iter()
                .flat_map(|text| grams(text))
                .for_each(|gram| *counts.entry(gram).or_insert(0.0) += 1.0);
            counts
        };
        let (p, q) = (count(target), count(texts));
        let share = |counts: &HashMap<String, f64>, gram: &String| {
            let total: f64 = counts.values().sum();
            if total > 0.0 { counts.get(gram).unwrap_or(&0.0) / total + smoothing } else { smoothing }
        };
        let gain = |gram: String| (share(&p, &gram) / share(&q, &gram)).ln();
        texts.iter().map(|text| grams(text).into_iter().map(gain).sum()).collect()
    }

    proptest! {
        #[test]
        fn it_is_the_slow_twin(
            texts in prop::collection::vec("([a-c] ){0,8}", 1..200),
            target in prop::collection::vec("([a-c] ){0,8}", 1..20),
            smoothing in prop::sample::select(vec![1e-8, 0.1]),
        ) {
            // 3 words and 9 pairs: none of them share a bucket of so many.
            let buckets = 1 << 14;
            let run = |threads| weigh_importance(&texts, &target, buckets, smoothing, Some(threads), &mut |_, _| true).unwrap();
            let found = run(1);
            for (found, expected) in found.iter().zip(slow(&texts, &target, smoothing)) {
                prop_assert!((found - expected).abs() < 1e-9, "{found} {expected}");
            }
            prop_assert_eq!(found, run(3));
        }
    }

    #[test]
    fn known_answers() {
        // One bucket: the target and the pool agree on everything.
        let one = weigh_importance(&["a b", "c"], &["d"], 1, 1.0, None, &mut |_, _| true).unwrap();
        assert!(one.iter().all(|weight| weight.abs() < 1e-15));
        // Pool: a 2, b 1, "a b" 1 (4 in all), shares 1/2, 1/4, 1/4. Target: b alone, share 1.
        let run = |smoothing| {
            weigh_importance(&["a b", "a", ""], &["b"], 1_000_000, smoothing, None, &mut |_, _| true)
        };
        // With 1/4 more: (0 + 1/4) / (1/2 + 1/4), (1 + 1/4) / (1/4 + 1/4), (0 + 1/4) / (1/4 + 1/4).
        let (a, b, pair) = ((1.0_f64 / 3.0).ln(), 2.5_f64.ln(), 0.5_f64.ln());
        for (found, expected) in run(0.25).unwrap().iter().zip([a + b + pair, a, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        // As published, 1e-8 more: 1e-8 / 0.50000001, 1.00000001 / 0.25000001, 1e-8 / 0.25000001.
        let (a, b, pair) = (-17.727_533_56, 1.386_294_33, -17.034_386_38);
        for (found, expected) in run(1e-8).unwrap().iter().zip([a + b + pair, a, 0.0]) {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
        // A target without a token has no share of anything.
        let none = weigh_importance(&["a"], &[""], 1_000_000, 1.0, None, &mut |_, _| true).unwrap();
        assert!((none[0] - 0.5_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn order_matters_in_pairs() {
        let found =
            weigh_importance(&["a b", "b a"], &["a b"], 1 << 20, 1.0, None, &mut |_, _| true).unwrap();
        assert!(found[0] > found[1]);
    }

    #[test]
    fn refuses_what_it_cannot_weigh() {
        let run = |target: &[&str], buckets, smoothing, stop: usize| {
            weigh_importance(&["a"], target, buckets, smoothing, None, &mut |done, _| done < stop)
        };
        let text =
            |target: &[&str], buckets, smoothing| run(target, buckets, smoothing, 9).unwrap_err().to_string();
        assert_eq!(text(&["a"], 0, 1.0), "buckets must be at least 1, got 0");
        assert_eq!(text(&["a"], 1, 0.0), "smoothing must be finite and above 0, got 0");
        assert_eq!(text(&[], 1, 1.0), "there must be at least 1 target text, got 0");
        (0..3)
            .for_each(|stop| assert!(matches!(run(&["a"], 1, 1.0, stop), Err(Error::Interrupted)), "{stop}"));
    }
}
