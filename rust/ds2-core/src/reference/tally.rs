//! What all rounds together say about each sample.

use crate::RatedPool;

/// What one round said about one row, packed into a byte (a round keeps one for every row of the pool).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict(u8);

impl Verdict {
    /// The row was not drawn.
    pub(crate) const ABSENT: Self = Self(0);
    const VISITED: u8 = 1 << 7;
    const SHORT: u8 = 1 << 6;
    const FLAGGED: u8 = 1 << 5;
    const FAVORITE: u8 = 0b1111;

    /// The row was drawn, its list was `short` or not, and it was flagged in favor of a score or not.
    pub(crate) fn new(favorite: Option<u8>, short: bool) -> Self {
        let flag = favorite.map_or(0, |score| Self::FLAGGED | score);
        Self(Self::VISITED | flag | if short { Self::SHORT } else { 0 })
    }

    fn visited(self) -> bool {
        self.0 & Self::VISITED != 0
    }

    fn short(self) -> bool {
        self.0 & Self::SHORT != 0
    }

    fn favorite(self) -> Option<usize> {
        (self.0 & Self::FLAGGED != 0).then_some(usize::from(self.0 & Self::FAVORITE))
    }
}

/// Outcome of the published detection; one value a row unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Flagged in more than half of the rounds that drew it.
    pub misrated: Vec<bool>,
    /// `(flags + 1) / (visits + 2)`; NaN for unrated rows.
    pub p_misrated: Vec<f64>,
    /// The most suggested other score, flagged or not; -1 for unrated rows.
    pub suggested: Vec<i8>,
    /// Share of votes for the suggestion times `p_misrated`, in [0, 1]; NaN for unrated rows.
    pub confidence: Vec<f64>,
    /// The suggested score if misrated and confident enough, else the score; -1 for unrated rows.
    pub curated: Vec<i8>,
    /// Rounds that drew the row.
    pub visits: Vec<u32>,
    /// Lists made over all rounds and rows.
    pub lists: u64,
    /// Lists that ended before ten members because the neighbor lists did.
    pub short_lists: u64,
}

/// Running sums of the rounds.
pub(crate) struct Tally {
    visits: Vec<u32>,
    /// `(N, K)`: flags in favor of each score.
    favors: Vec<u32>,
    num_classes: usize,
    short_lists: u64,
}

impl Tally {
    pub(crate) fn new(len: usize, num_classes: usize) -> Self {
        Self { visits: vec![0; len], favors: vec![0; len * num_classes], num_classes, short_lists: 0 }
    }

    pub(crate) fn add(&mut self, verdicts: &[Verdict]) {
        let rows = self.visits.iter_mut().zip(self.favors.chunks_exact_mut(self.num_classes));
        for (verdict, (visits, favors)) in verdicts.iter().zip(rows) {
            *visits += u32::from(verdict.visited());
            self.short_lists += u64::from(verdict.short());
            if let Some(score) = verdict.favorite() {
                favors[score] += 1;
            }
        }
    }

    pub(crate) fn finish(self, pool: &RatedPool<'_>, threshold: f64) -> Detection {
        let len = pool.len();
        let mut found = Detection {
            misrated: Vec::with_capacity(len),
            p_misrated: Vec::with_capacity(len),
            suggested: Vec::with_capacity(len),
            confidence: Vec::with_capacity(len),
            curated: Vec::with_capacity(len),
            lists: self.visits.iter().map(|&visits| u64::from(visits)).sum(),
            short_lists: self.short_lists,
            visits: self.visits,
        };
        for (row, favors) in self.favors.chunks_exact(self.num_classes).enumerate() {
            let outcome = match pool.score(row) {
                Some(own) => Outcome::of(found.visits[row], favors, own, threshold),
                None => Outcome::UNRATED,
            };
            found.misrated.push(outcome.misrated);
            found.p_misrated.push(outcome.p_misrated);
            found.suggested.push(outcome.suggested);
            found.confidence.push(outcome.confidence);
            found.curated.push(outcome.curated);
        }
        found
    }
}

/// The outcome for one row.
#[derive(Debug)]
struct Outcome {
    misrated: bool,
    p_misrated: f64,
    suggested: i8,
    confidence: f64,
    curated: i8,
}

impl Outcome {
    const UNRATED: Self =
        Self { misrated: false, p_misrated: f64::NAN, suggested: -1, confidence: f64::NAN, curated: -1 };

    fn of(visits: u32, favors: &[u32], own: usize, threshold: f64) -> Self {
        let flags: u32 = favors.iter().sum();
        let p_misrated = (f64::from(flags) + 1.0) / (f64::from(visits) + 2.0);
        let others = (0..favors.len()).filter(|&score| score != own);
        let suggested = others.reduce(|best, score| if favors[score] > favors[best] { score } else { best });
        let suggested = suggested.expect("there are at least two classes");
        let share = (f64::from(favors[suggested]) + 1.0) / (f64::from(flags) + favors.len() as f64);
        let confidence = share * p_misrated;
        // (F + 1) / (t + 2) of exactly one half rounds to 0 in the published code, so the half is not enough.
        let misrated = 2 * flags > visits;
        let as_score = |class: usize| i8::try_from(class).expect("at most 16 classes");
        let suggested = as_score(suggested);
        let curated = if misrated && confidence >= threshold { suggested } else { as_score(own) };
        Self { misrated, p_misrated, suggested, confidence, curated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unanimous(visits: u32, flags: u32) -> Outcome {
        Outcome::of(visits, &[0, 0, 0, flags, 0, 0], 1, 0.5)
    }

    #[test]
    fn half_of_the_visits_is_not_enough() {
        assert!(!unanimous(4, 2).misrated);
        assert!(unanimous(4, 3).misrated);
        assert!(!unanimous(0, 0).misrated);
    }

    #[test]
    fn confidence_known_answers() {
        for (visits, confidence, curated) in [(5, 0.4675, 1), (6, 0.5104, 3), (51, 0.8951, 3)] {
            let outcome = unanimous(visits, visits);
            assert!((outcome.confidence - confidence).abs() < 5e-5, "{outcome:?}");
            assert_eq!(outcome.curated, curated);
        }
    }

    #[test]
    fn ties_and_votes_for_the_own_score_suggest_the_lowest_other() {
        let outcome = Outcome::of(10, &[8, 0, 0], 0, 0.5);
        assert_eq!((outcome.suggested, outcome.curated, outcome.misrated), (1, 0, true));
        assert!((outcome.confidence - 1.0 / 11.0 * 9.0 / 12.0).abs() < 1e-12);
        assert_eq!(Outcome::of(10, &[0, 2, 2], 0, 0.5).suggested, 1);
    }

    #[test]
    fn a_verdict_keeps_what_it_was_told() {
        let verdict = Verdict::new(Some(15), true);
        assert_eq!((verdict.visited(), verdict.short(), verdict.favorite()), (true, true, Some(15)));
        let verdict = Verdict::new(None, false);
        assert_eq!((verdict.visited(), verdict.short(), verdict.favorite()), (true, false, None));
        assert!(!Verdict::ABSENT.visited());
    }
}
