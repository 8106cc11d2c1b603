use proptest::prelude::*;

use super::*;
use crate::naive_bayes as naive;
use crate::{Rows, SILENT};

const T: [f64; 4] = [0.9, 0.1, 0.2, 0.8];
const P: [f64; 2] = [0.5, 0.5];
const PAPER: Rule = Rule { noise_share: 1.0, threshold: 0.5, fill_missing: false };

/// Sample 0 has score `own` and three neighbors of score 0.
fn outvoted(own: i8, beta: f64, rule: Rule) -> Curated {
    let (scores, near) = ([own, 0, 0, 0], [1_u32, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2]);
    let pool = RatedPool::new(&scores, Rows::new(&near, 4, 3).unwrap(), 2).unwrap();
    curate(&pool, Model::new(&T, &P).unwrap(), Temper { k: 3, beta }, rule, &mut SILENT.clone()).unwrap()
}

fn close(x: f64, y: f64) -> bool {
    (x - y).abs() < 5e-7
}

#[test]
fn known_posteriors() {
    let sure = outvoted(1, 1.0, PAPER);
    assert!(close(sure.p_misrated[0], 0.919_294) && sure.misrated[0] && sure.curated[0] == 0);
    assert!(close(sure.confidence[0], 0.919_294) && close(sure.expected[0], 0.080_706));
    let q = sure.confidence[0];
    assert!(close(sure.entropy[0], -q * q.ln() - (1.0 - q) * (1.0 - q).ln()));
    let tempered = outvoted(1, 1.0 / 3.0, PAPER);
    assert!(close(tempered.p_misrated[0], 0.36) && !tempered.misrated[0] && tempered.curated[0] == 1);
    let half = outvoted(1, 1.0, Rule { noise_share: 0.5, ..PAPER });
    assert!(close(half.p_misrated[0], 0.433_202) && half.curated[0] == 1 && half.suggested[0] == 1);
}

#[test]
fn known_split() {
    let split = split_noise(Model::new(&T, &P).unwrap(), 0.5).unwrap();
    let (rater, known) = ([0.95, 0.05, 0.1, 0.9], [0.941_176, 0.058_824, 0.117_647, 0.882_353]);
    assert!(split.rater.iter().zip(rater).all(|(x, y)| close(*x, y)));
    assert!(split.heterogeneity.iter().zip(known).all(|(x, y)| close(*x, y)));
}

#[test]
fn a_high_threshold_changes_nothing() {
    let kept = outvoted(1, 1.0, Rule { threshold: 0.95, ..PAPER });
    assert!(kept.misrated[0] && kept.suggested[0] == 0 && kept.curated[0] == 1);
}

#[test]
fn an_unrated_sample_hears_its_neighbors_only() {
    let curated = outvoted(-1, 1.0, PAPER);
    // pz is proportional to (0.9^3, 0.2^3), and R = I.
    assert!(close(curated.confidence[0], 0.729 / 0.737) && close(curated.expected[0], 0.008 / 0.737));
    assert!(curated.p_misrated[0].is_nan() && !curated.misrated[0]);
    assert_eq!((curated.suggested[0], curated.curated[0]), (0, -1));
    assert_eq!(outvoted(-1, 1.0, Rule { fill_missing: true, ..PAPER }).curated[0], 0);
}

/// Without its own score a sample is what its neighborhood is: `pz R`.
#[test]
fn a_dropped_score_leaves_the_shared_score_mixed() {
    let half = outvoted(-1, 1.0, Rule { noise_share: 0.5, ..PAPER });
    // pz = (.729, .008) / .737 and R = [[16, 1], [2, 15]] / 17.
    let zero = (0.729 * 16.0 / 17.0 + 0.008 * 2.0 / 17.0) / 0.737;
    assert!(close(half.confidence[0], zero) && close(half.expected[0], 1.0 - zero));
}

#[test]
fn ties_keep_the_own_score_else_the_lower() {
    let (scores, near) = ([2_i8, -1, 1], [1_u32, 1 + 1, 0, 2, 0, 1]);
    let pool = RatedPool::new(&scores, Rows::new(&near, 3, 2).unwrap(), 3).unwrap();
    let (t, p) = ([1.0 / 3.0; 9], [1.0 / 3.0; 3]);
    let temper = Temper { k: 2, beta: 1.0 };
    let curated =
        curate(&pool, Model::new(&t, &p).unwrap(), temper, Rule { threshold: 0.0, ..PAPER }, &mut |_, _| {
            true
        })
        .unwrap();
    assert_eq!(curated.suggested, [2, 0, 1]);
    assert_eq!(curated.curated, [2, -1, 1]);
}

#[test]
fn bad_input_is_named() {
    let model = Model::new(&T, &P).unwrap();
    let error = split_noise(model, 1.5).unwrap_err().to_string();
    assert_eq!(error, "noise_share must be in [0, 1], got 1.5");
    let swapped = [0.0, 1.0, 1.0, 0.0];
    let error = split_noise(Model::new(&swapped, &P).unwrap(), 0.5).unwrap_err().to_string();
    assert_eq!(error, "T cannot be split at noise_share = 0.5: (1 - a) I + a T has no inverse");
    let (scores, near) = ([0_i8, 1, 0], [1_u32, 2, 0, 2, 0, 1]);
    let pool = RatedPool::new(&scores, Rows::new(&near, 3, 2).unwrap(), 2).unwrap();
    let run = |rule, go_on: bool| {
        curate(&pool, model, Temper { k: 2, beta: 1.0 }, rule, &mut |_, _| go_on).unwrap_err().to_string()
    };
    assert_eq!(run(Rule { threshold: f64::NAN, ..PAPER }, true), "threshold must be >= 0, got NaN");
    assert_eq!(run(PAPER, false), "interrupted");
}

proptest! {
    #[test]
    fn curation_equals_the_slow_one(
        (pool, (t, p)) in naive::pools(12).prop_flat_map(|pool| {
            let models = naive::models(pool.num_classes);
            (Just(pool), models)
        }),
        beta in 0.01_f64..1.0,
        noise_share in 0.0_f64..=1.0,
        threshold in 0.0_f64..1.2,
    ) {
        let model = Model::new(&t, &p).unwrap();
        let split = split_noise(model, noise_share).unwrap();
        let temper = Temper { k: pool.depth, beta };
        let rule = Rule { noise_share, threshold, fill_missing: false };
        let fast = curate(&pool.rated(), model, temper, rule, &mut SILENT.clone()).unwrap();
        for row in 0..pool.scores.len() {
            let own = usize::try_from(pool.scores[row]).ok();
            let shared = naive::shared_score(&pool, row, pool.depth, beta, &t, &p);
            let slow = naive::posterior(&shared, &split.heterogeneity, &split.rater, own);
            let mean: f64 = slow.iter().enumerate().map(|(y, q)| y as f64 * q).sum();
            prop_assert!((fast.expected[row] - mean).abs() <= 1e-11);
            let top = slow.iter().copied().fold(0.0, f64::max);
            prop_assert!((fast.confidence[row] - top).abs() <= 1e-11);
            prop_assert!((slow[usize::try_from(fast.suggested[row]).unwrap()] - top).abs() <= 1e-11);
            let entropy: f64 = slow.iter().map(|q| if *q > 0.0 { -q * q.ln() } else { 0.0 }).sum();
            prop_assert!((fast.entropy[row] - entropy).abs() <= 1e-10);
            let Some(own) = own else {
                prop_assert_eq!(fast.curated[row], -1);
                continue;
            };
            prop_assert!((fast.p_misrated[row] - (1.0 - slow[own])).abs() <= 1e-11);
            prop_assert_eq!(fast.misrated[row], fast.p_misrated[row] > 0.5);
            let replaced = fast.confidence[row] >= threshold;
            prop_assert_eq!(fast.curated[row], if replaced { fast.suggested[row] } else { pool.scores[row] });
        }
    }

    #[test]
    fn posteriors_are_those_that_curation_decides_by(
        (pool, (t, p)) in naive::pools(12).prop_flat_map(|pool| {
            let models = naive::models(pool.num_classes);
            (Just(pool), models)
        }),
        noise_share in 0.0_f64..1.0,
    ) {
        let temper = Temper { k: pool.depth, beta: 0.5 };
        let model = Model::new(&t, &p).unwrap();
        let Ok(split) = split_noise(model, noise_share) else { return Ok(()) };
        prop_assert_eq!(split.rater.len(), pool.num_classes * pool.num_classes);
        let rule = Rule { noise_share, threshold: 0.5, fill_missing: false };
        let curated = curate(&pool.rated(), model, temper, rule, &mut SILENT.clone()).unwrap();
        let len = u32::try_from(pool.scores.len()).unwrap();
        let rows: Vec<u32> = (0..len).rev().collect();
        let found = posteriors(&pool.rated(), model, temper, noise_share, &rows).unwrap();
        for (posterior, &row) in found.chunks_exact(pool.num_classes).zip(&rows) {
            let mean: f64 = posterior.iter().enumerate().map(|(y, q)| y as f64 * q).sum();
            prop_assert_eq!(mean.to_bits(), curated.expected[row as usize].to_bits());
            let largest = posterior.iter().copied().fold(0.0, f64::max);
            prop_assert_eq!(largest.to_bits(), curated.confidence[row as usize].to_bits());
        }
        let beyond = [len];
        prop_assert!(posteriors(&pool.rated(), model, temper, noise_share, &beyond).is_err());
    }

    #[test]
    fn a_rater_without_noise_is_believed(
        (pool, (t, p)) in naive::pools(12).prop_flat_map(|pool| {
            let models = naive::models(pool.num_classes);
            (Just(pool), models)
        }),
    ) {
        let rule = Rule { noise_share: 0.0, threshold: 0.5, fill_missing: false };
        let temper = Temper { k: pool.depth, beta: 1.0 };
        let model = Model::new(&t, &p).unwrap();
        let curated = curate(&pool.rated(), model, temper, rule, &mut SILENT.clone()).unwrap();
        prop_assert_eq!(curated.curated, pool.scores);
    }

    /// What `split_noise` splits multiplies back to T wherever no entry had to be clipped.
    #[test]
    fn the_split_multiplies_back((t, p) in naive::models(5), noise_share in 0.0_f64..0.5) {
        let model = Model::new(&t, &p).unwrap();
        let split = split_noise(model, noise_share).unwrap();
        for z in 0..5 {
            let row: f64 = split.heterogeneity[z * 5..][..5].iter().sum();
            prop_assert!((row - 1.0).abs() < 1e-12);
            prop_assume!(split.heterogeneity[z * 5..][..5].iter().all(|&value| value > 0.0));
            for a in 0..5 {
                let product: f64 =
                    (0..5).map(|y| split.heterogeneity[z * 5 + y] * split.rater[y * 5 + a]).sum();
                prop_assert!((product - t[z * 5 + a]).abs() < 1e-12);
            }
        }
    }
}
