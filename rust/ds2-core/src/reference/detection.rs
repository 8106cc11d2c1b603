//! Published detection of misrated samples: many rounds, each judging the rows it drew.

use rayon::prelude::*;

use super::tally::{Detection, Tally, Verdict};
use super::votes::{Ballot, Drawn, vote};
use super::{Sampling, misrated_shares};
use crate::evidence::check_same_classes;
use crate::progress::{Progress, tick};
use crate::random::Stream;
use crate::transition::Model;
use crate::{Error, RatedPool, Result, Rows};

/// The share flagged where T and p call a whole class misrated, and where they call none of it so.
const SHARE_OF_ALL: f64 = 0.95;
const SHARE_OF_NONE: f64 = 0.05;

/// Settings of [`detect_misrated`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectionOptions {
    /// How a round draws rows.
    pub sampling: Sampling,
    /// Rounds; the published code makes 51.
    pub rounds: u32,
    /// Names the draws: same seed, same result.
    pub seed: u64,
    /// Least confidence at which a flagged sample takes its suggested score; 0.5 in the published code.
    pub threshold: f64,
}

impl Default for DetectionOptions {
    fn default() -> Self {
        Self { sampling: Sampling::default(), rounds: 51, seed: 42, threshold: 0.5 }
    }
}

/// Find misrated samples and curate them by the published procedure.
///
/// A round draws copies of the pool. Each drawn sample gets a list of up to ten members (itself, its copy if
/// drawn, then each neighbor as often as drawn), whose votes give its disagreement and the favored score. Of
/// each class i the round flags the disagreements at or above the `100 (1 - r_i)` percentile over copies (linear
/// interpolation), `r_i = 1 - min(1, T_ii p_i / P(score i))`, with .95 for r = 1 and .05 for r = 0; a class
/// without drawn rows is skipped. Over all rounds, with t visits, F flags and `v_c` votes of flags for score c:
///
/// - `p_misrated = (F + 1) / (t + 2)`; misrated iff F > t / 2;
/// - suggested: the score with the largest `(v_c + 1) / (F + K)` other than the own one, ties to the lowest;
/// - confidence: that value times `p_misrated`;
/// - curated: the suggested score if misrated and confidence >= threshold, else the score.
///
/// `similarities` `(N, L)` belong to the pool's neighbors, nearest first. Source: published code, detection (f32
/// distances, rounds drawn by a counter-based generator: Deviations D5, D7). O(rounds x (N + drawn x list));
/// rounds run in parallel and only integers are added up, so the result is the same for any number of threads.
/// `progress` is called with rounds.
///
/// # Errors
///
/// [`Error::Shape`], [`Error::Value`] for arguments that do not fit together or are out of range;
/// [`Error::Interrupted`] if `progress` returned `false`.
pub fn detect_misrated(
    pool: &RatedPool<'_>,
    similarities: Rows<'_, f32>,
    model: Model<'_>,
    options: &DetectionOptions,
    progress: Progress,
) -> Result<Detection> {
    check_same_classes(pool, model)?;
    pool.check_similarities(similarities)?;
    check_options(options)?;
    let shares = misrated_shares(model, &pool.class_sizes());
    let law = Law { pool: *pool, similarities, rated: pool.rated_rows(), shares, options };
    let mut tally = Tally::new(pool.len(), pool.num_classes());
    let together = u32::try_from(rayon::current_num_threads()).unwrap_or(1);
    let mut done = 0;
    while done < options.rounds {
        let end = options.rounds.min(done + together);
        let rounds: Vec<_> = (done..end).into_par_iter().map(|round| law.judge(&law.draw(round))).collect();
        for verdicts in &rounds {
            tally.add(verdicts);
        }
        done = end;
        tick(progress, done as usize, options.rounds as usize)?;
    }
    Ok(tally.finish(pool, options.threshold))
}

fn check_options(options: &DetectionOptions) -> Result<()> {
    if options.rounds == 0 {
        return Err(Error::value("rounds must be at least 1, got 0"));
    }
    if options.threshold.is_nan() {
        return Err(Error::value("threshold must be a number, got NaN"));
    }
    Ok(())
}

/// All that a round depends on.
struct Law<'a> {
    pool: RatedPool<'a>,
    similarities: Rows<'a, f32>,
    rated: Vec<u32>,
    shares: Vec<Option<f64>>,
    options: &'a DetectionOptions,
}

impl Law<'_> {
    /// How many copies of each row round `round` draws: a partial Fisher-Yates shuffle of all copies.
    fn draw(&self, round: u32) -> Drawn {
        let rated = self.rated.len();
        let copies = rated * self.options.sampling.copies();
        let mut stream = Stream::new(self.options.seed, u64::from(round));
        let mut deck: Vec<u32> = self.rated.iter().copied().cycle().take(copies).collect();
        let mut drawn = Drawn::none(&self.pool);
        for next in 0..self.options.sampling.drawn(rated) {
            deck.swap(next, next + stream.below(copies - next));
            drawn.add(deck[next] as usize);
        }
        drawn
    }

    /// One verdict a row: what the round said about it.
    fn judge(&self, drawn: &Drawn) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::ABSENT; self.pool.len()];
        let mut ballots: Vec<(u32, Ballot)> = Vec::with_capacity(self.rated.len());
        let mut disagreements = vec![Vec::new(); self.pool.num_classes()];
        for &row in &self.rated {
            let (copies, own) = drawn.get(row as usize);
            if copies > 0 {
                let ballot = vote(&self.pool, self.similarities, drawn, row as usize);
                disagreements[own].extend(std::iter::repeat_n(ballot.disagreement, copies));
                ballots.push((row, ballot));
            }
        }
        let limits: Vec<f64> =
            disagreements.iter_mut().zip(&self.shares).map(|(values, &share)| limit(values, share)).collect();
        for (row, ballot) in ballots {
            let (_, own) = drawn.get(row as usize);
            let flagged = ballot.disagreement >= limits[own];
            verdicts[row as usize] = Verdict::new(flagged.then_some(ballot.favorite), ballot.short);
        }
        verdicts
    }
}

/// The disagreement at which flagging starts in a class of which `share` is misrated.
fn limit(disagreements: &mut [f64], share: Option<f64>) -> f64 {
    let (Some(share), false) = (share, disagreements.is_empty()) else { return f64::INFINITY };
    let share = match share {
        share if share >= 1.0 => SHARE_OF_ALL,
        share if share <= 0.0 => SHARE_OF_NONE,
        share => share,
    };
    // The factor 100 and its inverse round as they do in the published code.
    percentile(disagreements, 100.0 * (1.0 - share))
}

/// The `q`-th percentile, 0 <= q <= 100, with linear interpolation between ranks; reorders `values`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= rank <= values.len() - 1")]
fn percentile(values: &mut [f64], q: f64) -> f64 {
    let rank = q / 100.0 * (values.len() - 1) as f64;
    let (_, &mut low, above) = values.select_nth_unstable_by(rank.floor() as usize, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    let part = rank - rank.floor();
    // Interpolated from the nearer end, so that equal ends give their value exactly.
    if part < 0.5 { low + (high - low) * part } else { high - (high - low) * (1.0 - part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_known_answer() {
        let mut values = [0.1, 0.4, 0.2, 0.9, 0.7];
        let limit = limit(&mut values, Some(0.3));
        assert!((limit - 0.64).abs() < 1e-12);
        values.sort_by(f64::total_cmp);
        assert_eq!(values.iter().filter(|&&value| value >= limit).count(), 2);
        assert_eq!(percentile(&mut [3.0], 40.0).to_bits(), 3.0f64.to_bits());
        assert_eq!(percentile(&mut [2.0, 1.0], 100.0).to_bits(), 2.0f64.to_bits());
        assert_eq!(percentile(&mut [2.0, 1.0], 0.0).to_bits(), 1.0f64.to_bits());
    }

    #[test]
    fn shares_at_the_ends_jump() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let at = |share| limit(&mut values.clone(), share);
        assert!((at(Some(0.0)) - 95.0).abs() < 1e-9);
        assert!((at(Some(1.0)) - 5.0).abs() < 1e-9);
        assert!((at(Some(0.001)) - 99.9).abs() < 1e-9);
        assert!(at(None).is_infinite());
        assert!(limit(&mut [], Some(0.5)).is_infinite());
    }

    fn ring(len: u32, width: u32) -> (Vec<i8>, Vec<u32>, Vec<f32>) {
        let scores = (0..len).map(|row| i8::try_from(row * 7 % 5 % 3).unwrap()).collect();
        let neighbors = (0..len).flat_map(|row| (1..=width).map(move |step| (row + step) % len)).collect();
        let similarities = (0..len).flat_map(|_| (1..=width).map(|step| 1.0 - 0.01 * step as f32)).collect();
        (scores, neighbors, similarities)
    }

    #[test]
    fn a_draw_takes_its_number_of_copies_evenly() {
        let (scores, neighbors, similarities) = ring(50, 12);
        let pool = RatedPool::new(&scores, Rows::new(&neighbors, 50, 12).unwrap(), 3).unwrap();
        let similarities = Rows::new(&similarities, 50, 12).unwrap();
        let options = DetectionOptions::default();
        let law = Law { pool, similarities, rated: pool.rated_rows(), shares: vec![], options: &options };
        let mut often = vec![0usize; 50];
        for round in 0..1_000 {
            let drawn = law.draw(round);
            let copies: Vec<usize> = (0..50).map(|row| drawn.get(row).0).collect();
            assert_eq!(copies.iter().sum::<usize>(), 90);
            often.iter_mut().zip(copies).for_each(|(sum, copies)| *sum += copies);
        }
        // Mean 1,800, standard deviation 13.
        assert!(often.iter().all(|&count| count.abs_diff(1_800) < 70), "{often:?}");
    }

    #[test]
    fn thread_count_and_progress_do_not_change_the_result() {
        let (scores, neighbors, similarities) = ring(500, 30);
        let rated = RatedPool::new(&scores, Rows::new(&neighbors, 500, 30).unwrap(), 3).unwrap();
        let similarities = Rows::new(&similarities, 500, 30).unwrap();
        let model = Model::new(&[0.8, 0.1, 0.1, 0.1, 0.8, 0.1, 0.1, 0.1, 0.8], &[0.4, 0.4, 0.2]).unwrap();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut seen = vec![];
            let found = pool.install(|| {
                let mut progress = |done, total| {
                    seen.push((done, total));
                    true
                };
                let options = DetectionOptions::default();
                detect_misrated(&rated, similarities, model, &options, &mut progress)
            });
            assert_eq!(seen.last(), Some(&(51, 51)));
            found.unwrap()
        };
        let one = run(1);
        assert!(one.misrated.iter().any(|&misrated| misrated));
        assert_eq!(one, run(3));
        assert_eq!(one, run(64));
    }

    #[test]
    fn stops_when_asked_and_refuses_bad_options() {
        let (scores, neighbors, similarities) = ring(20, 12);
        let rated = RatedPool::new(&scores, Rows::new(&neighbors, 20, 12).unwrap(), 3).unwrap();
        let similarities = Rows::new(&similarities, 20, 12).unwrap();
        let model = Model::new(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], &[0.4, 0.4, 0.2]).unwrap();
        let run = |options: DetectionOptions, go_on| {
            let mut progress = |_, _| go_on;
            detect_misrated(&rated, similarities, model, &options, &mut progress)
        };
        let defaults = DetectionOptions::default();
        assert!(matches!(run(defaults, false), Err(Error::Interrupted)));
        let text = |options| run(options, true).unwrap_err().to_string();
        assert_eq!(text(DetectionOptions { rounds: 0, ..defaults }), "rounds must be at least 1, got 0");
        assert_eq!(
            text(DetectionOptions { threshold: f64::NAN, ..defaults }),
            "threshold must be a number, got NaN"
        );
    }
}
