//! The heavy parts of the field's other ways to select: set rules, soft samplers and scores of their own.
//!
//! A strategy is a score for every sample and a rule by which a set is taken; what is here is what would be slow
//! outside. Nothing holds a matrix of all pairs; every result is the same for any number of threads.
//!
//! | module | what | source |
//! |---|---|---|
//! | [`apart`] | down a ranking, keep what is like nothing kept | DEITA |
//! | [`marginal`] | good, and unlike what is chosen | maximal marginal relevance |
//! | [`facility`] | cover the pool, on the neighbor graph | facility location |
//! | [`graph_cut`] | bins from the most typical to the least, each diverse | dataset quantization |
//! | [`tempered`] | draw in proportion to `exp(score / temperature)` | `QuRating` |
//! | [`importance`] | how much likelier a text is under a target than in the pool | DSIR |
//! | [`tree`] | hierarchical spherical k-means, from the root down | spherical k-means |
//! | [`cover`] | how near every row lies to what was chosen | radius of k-center |

use crate::{Error, Result};

pub mod apart;
mod ceiling;
pub mod cover;
pub mod facility;
pub mod graph_cut;
pub mod importance;
pub mod marginal;
pub(crate) mod nearest;
pub mod tempered;
pub mod tree;
mod units;

/// Refuse to choose `n` of candidates whose scores do not fit.
///
/// # Errors
///
/// [`Error::Shape`] if there is not one score for each; [`Error::Value`] for a score that is not finite, and for n = 0
/// or more than there are candidates.
fn check_scored(candidates: &[u32], scores: &[f64], n: usize) -> Result<()> {
    if scores.len() != candidates.len() {
        let (scores, candidates) = (scores.len(), candidates.len());
        return Err(Error::shape(format!("scores has {scores} values for {candidates} candidates")));
    }
    if let Some(place) = scores.iter().position(|score| !score.is_finite()) {
        return Err(Error::value(format!("scores[{place}] = {} is not finite", scores[place])));
    }
    check_budget(n, candidates.len())
}

/// Refuse to choose none, or more than there are.
fn check_budget(n: usize, candidates: usize) -> Result<()> {
    if n == 0 {
        return Err(Error::value("n must be at least 1, got 0"));
    }
    if n > candidates {
        return Err(Error::value(format!(
            "n = {n} samples asked for, but there are {candidates} candidates"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_chosen() {
        let text = |scores: &[f64], n| check_scored(&[3, 1], scores, n).unwrap_err().to_string();
        assert_eq!(text(&[0.0], 1), "scores has 1 values for 2 candidates");
        assert_eq!(text(&[0.0, f64::INFINITY], 1), "scores[1] = inf is not finite");
        assert_eq!(text(&[0.0; 2], 0), "n must be at least 1, got 0");
        assert_eq!(text(&[0.0; 2], 3), "n = 3 samples asked for, but there are 2 candidates");
    }
}
