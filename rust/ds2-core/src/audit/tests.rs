use proptest::prelude::*;

use super::*;
use crate::naive_bayes as naive;
use crate::random::Stream;
use crate::{Rows, SILENT};

const CLASSES: usize = 3;
const RATER: [f64; 9] = [0.7, 0.2, 0.1, 0.15, 0.7, 0.15, 0.1, 0.2, 0.7];
const PRIOR: [f64; 3] = [0.3, 0.4, 0.3];

/// Groups of 20 samples that are each other's neighbors and share a topic score; `deserved(topic, stream)` says
/// what a sample deserves, `rating(topic, deserved, stream)` how it is rated.
struct Grouped {
    gold: Vec<i8>,
    scores: Vec<i8>,
    near: Vec<u32>,
}

fn draw(row: &[f64], stream: &mut Stream) -> usize {
    let mut left = stream.below(1_000_000) as f64 / 1e6;
    row.iter()
        .position(|share| {
            left -= share;
            left < 0.0
        })
        .unwrap_or(row.len() - 1)
}

fn grouped(
    deserved: impl Fn(usize, &mut Stream) -> usize,
    rating: impl Fn(usize, usize, &mut Stream) -> usize,
) -> Grouped {
    let mut stream = Stream::new(5, 0);
    let mut pool = Grouped { gold: vec![], scores: vec![], near: vec![] };
    for group in 0..100_u32 {
        let topic = draw(&PRIOR, &mut stream);
        for place in 0..20_u32 {
            let gold = deserved(topic, &mut stream);
            pool.scores.push(i8::try_from(rating(topic, gold, &mut stream)).unwrap());
            pool.gold.push(i8::try_from(gold).unwrap());
            pool.near.extend((1..20).map(|step| group * 20 + (place + step) % 20));
        }
    }
    pool
}

impl Grouped {
    fn rated(&self) -> RatedPool<'_> {
        RatedPool::new(&self.scores, Rows::new(&self.near, self.scores.len(), 19).unwrap(), CLASSES).unwrap()
    }

    /// Audit every `step`-th sample.
    fn fit(&self, step: usize) -> AuditFit {
        let rows: Vec<u32> =
            (0..self.scores.len()).step_by(step).map(|row| u32::try_from(row).unwrap()).collect();
        let gold: Vec<i8> = rows.iter().map(|&row| self.gold[row as usize]).collect();
        let (pool, weights) = (self.rated(), vec![1.0; rows.len()]);
        let audited = Audited::new(&pool, &rows, &gold, &weights).unwrap();
        fit_audit(&pool, Model::new(&RATER, &PRIOR).unwrap(), Temper { k: 19, beta: 1.0 }, audited, 0.5)
            .unwrap()
    }
}

#[test]
fn neighbors_that_share_the_gold_score_are_believed() {
    let pool = grouped(|topic, _| topic, |_, gold, stream| draw(&RATER[gold * 3..][..3], stream));
    let fit = pool.fit(7);
    assert!(fit.model.gamma >= 0.5 && fit.relabels, "{fit:?}");
    assert!(fit.gain > 5.0 * fit.gain_error && fit.gamma_low > 0.1);
    assert!(fit.held_out.equal > 0.97 && fit.rated.equal < 0.8);
    let (temper, model) = (Temper { k: 19, beta: 1.0 }, Model::new(&RATER, &PRIOR).unwrap());
    let found =
        curate_audited(&pool.rated(), model, temper, &fit.model, 0.5, false, &mut SILENT.clone()).unwrap();
    let right = found.curated.iter().zip(&pool.gold).filter(|(a, b)| a == b).count();
    assert!(right > 1_950, "{right}");
}

#[test]
fn neighbors_that_know_the_rating_alone_are_not() {
    // A sample's worth has nothing to do with its topic; the rater mixes the topic in.
    let pool = grouped(
        |_, stream| draw(&PRIOR, stream),
        |topic, gold, stream| if stream.below(2) == 0 { topic } else { gold },
    );
    for step in [7, 20, 40] {
        let fit = pool.fit(step);
        assert!(fit.model.gamma <= LEAST_GAMMA && !fit.relabels, "{fit:?}");
    }
}

#[test]
fn a_rater_without_errors_is_left_alone() {
    // Neighbors differ truly and every rating is right.
    let pool = grouped(|topic, stream| draw(&RATER[topic * 3..][..3], stream), |_, gold, _| gold);
    let fit = pool.fit(7);
    assert_eq!((fit.rated.equal, fit.held_out.equal), (1.0, 1.0));
}

#[test]
fn known_posterior() {
    // T^ = [[.9, .1], [.2, .8]], p^ = (.5, .5), own rating 1, neighbors 0, 0, 0 under the same T at beta = 1.
    let (t, p) = ([0.9, 0.1, 0.2, 0.8], [0.5, 0.5]);
    let (scores, near) = ([1_i8, 0, 0, 0], [1_u32, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2]);
    let pool = RatedPool::new(&scores, Rows::new(&near, 4, 3).unwrap(), 2).unwrap();
    let curate = |gamma: f64| {
        let measured = AuditModel { t: t.to_vec(), p: p.to_vec(), gamma };
        let (model, temper) = (Model::new(&t, &p).unwrap(), Temper { k: 3, beta: 1.0 });
        curate_audited(&pool, model, temper, &measured, 0.5, false, &mut SILENT.clone()).unwrap()
    };
    assert!((curate(1.0).p_misrated[0] - 0.919_294).abs() < 5e-7);
    assert!((curate(0.0).p_misrated[0] - 1.0 / 9.0).abs() < 1e-12);
    assert_eq!((curate(1.0).curated[0], curate(0.0).curated[0]), (0, 1));
}

#[test]
fn bad_input_is_named() {
    let (scores, near) = ([1_i8, 0, 0, 0, 0, 1], [1_u32, 0, 0, 0, 0, 0]);
    let pool = RatedPool::new(&scores, Rows::new(&near, 6, 1).unwrap(), 2).unwrap();
    let error = |rows: [u32; 5], gold: [i8; 5], weight: f64| {
        Audited::new(&pool, &rows, &gold, &[weight; 5]).unwrap_err().to_string()
    };
    assert_eq!(error([0, 1, 2, 3, 6], [0; 5], 1.0), "audited row 6 is not in 0..5");
    assert_eq!(error([0, 1, 2, 3, 3], [0; 5], 1.0), "row 3 is audited twice");
    assert_eq!(error([0, 1, 2, 3, 4], [2; 5], 1.0), "gold score 2 of row 0 is not in 0..1");
    assert_eq!(error([0, 1, 2, 3, 4], [0; 5], 0.0), "weight 0 of row 0 must be finite and above 0");
    let few = Audited::new(&pool, &[0], &[0], &[1.0]).unwrap_err().to_string();
    assert_eq!(few, "an audit needs at least 5 samples, got 1");
    let uneven = Audited::new(&pool, &[0], &[0, 1], &[1.0]).unwrap_err().to_string();
    assert_eq!(uneven, "rows, gold and weights must be as long, got (1, 2, 1)");
}

/// The posterior multiplied out, neighbor by neighbor.
fn slow_posterior(
    pool: &naive::Pool,
    row: usize,
    (t, beta): (&[f64], f64),
    measured: &AuditModel,
) -> Vec<f64> {
    let classes = pool.num_classes;
    let mut posterior: Vec<f64> = (0..classes)
        .map(|y| {
            let own = usize::try_from(pool.scores[row]).ok();
            let mut value = measured.p[y] * own.map_or(1.0, |own| measured.t[y * classes + own]);
            for &other in &pool.neighbors[row * pool.depth..][..pool.depth] {
                if let Ok(score) = usize::try_from(pool.scores[other as usize]) {
                    value *= t[y * classes + score].max(1e-9).powf(beta * measured.gamma);
                }
            }
            value
        })
        .collect();
    naive::normalize(&mut posterior);
    posterior
}

/// Weighted counts with the pseudo-counts of the module, row by row.
fn slow_rows(cases: &[(usize, Option<usize>, f64)], classes: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut t, mut p) = (vec![], vec![]);
    for y in 0..classes {
        let spread: f64 = (0..classes).map(|a| (-2.0 * (y as f64 - a as f64).abs()).exp()).sum();
        let count = |fits: &dyn Fn(usize, Option<usize>) -> bool| -> f64 {
            cases.iter().filter(|case| fits(case.0, case.1)).map(|case| case.2).sum()
        };
        let mut row: Vec<f64> = (0..classes)
            .map(|a| {
                count(&|gold, own| gold == y && own == Some(a))
                    + 2.0 * (-2.0 * (y as f64 - a as f64).abs()).exp() / spread
            })
            .collect();
        naive::normalize(&mut row);
        t.extend(row);
        p.push(count(&|gold, _| gold == y) + 1.0);
    }
    naive::normalize(&mut p);
    (t, p)
}

proptest! {
    #[test]
    fn the_audit_equals_the_slow_one(
        (pool, (t, p), golds, weights) in naive::pools(8).prop_flat_map(|pool| {
            let (classes, len) = (pool.num_classes, pool.scores.len());
            let golds = prop::collection::vec(0..i8::try_from(classes).unwrap(), len);
            (Just(pool), naive::models(classes), golds, prop::collection::vec(0.2_f64..5.0, len))
        }),
        beta in 0.02_f64..1.0,
    ) {
        let (classes, len) = (pool.num_classes, pool.scores.len());
        let rated = pool.rated();
        let model = Model::new(&t, &p).unwrap();
        let rows: Vec<u32> = (0..u32::try_from(len).unwrap()).collect();
        let audited = Audited::new(&rated, &rows, &golds, &weights).unwrap();
        let temper = Temper { k: pool.depth, beta };
        let fit = fit_audit(&rated, model, temper, audited, 0.5).unwrap();

        let scale = len as f64 / weights.iter().sum::<f64>();
        let gold = |row: usize| usize::try_from(golds[row]).unwrap();
        let case = |&row: &usize| (gold(row), usize::try_from(pool.scores[row]).ok(), weights[row] * scale);
        let mut order: Vec<usize> = (0..len).collect();
        order.sort_by_key(|&row| (golds[row], pool.scores[row], row));
        for candidate in &fit.candidates {
            let mut sum = 0.0;
            for fold in 0..FOLDS {
                let part = |held_out: bool| -> Vec<usize> {
                    let places = (0..len).filter(|place| (place % FOLDS == fold) == held_out);
                    places.map(|place| order[place]).collect()
                };
                let (t_hat, p_hat) = slow_rows(&part(false).iter().map(case).collect::<Vec<_>>(), classes);
                let measured = AuditModel { t: t_hat, p: p_hat, gamma: candidate.gamma };
                for row in part(true) {
                    let posterior = slow_posterior(&pool, row, (&t, beta), &measured);
                    sum += weights[row] * scale * posterior[gold(row)].ln();
                }
            }
            prop_assert!((candidate.log_likelihood - sum / len as f64).abs() < 1e-9);
        }
        let best = fit.candidates.iter().map(|each| each.log_likelihood).fold(f64::NEG_INFINITY, f64::max);
        prop_assert!((fit.gain - (best - fit.candidates[0].log_likelihood)).abs() < 1e-9);
        prop_assert!(fit.model.gamma == 0.0 || fit.gain > NINETY * fit.gain_error);
        prop_assert!(!fit.relabels || fit.model.gamma > LEAST_GAMMA);
        prop_assert!(fit.gamma_low <= fit.model.gamma && fit.model.gamma <= fit.gamma_high);

        let (t_hat, p_hat) = slow_rows(&(0..len).collect::<Vec<_>>().iter().map(case).collect::<Vec<_>>(), classes);
        prop_assert!(fit.model.t.iter().zip(&t_hat).all(|(x, y)| (x - y).abs() < 1e-12));
        prop_assert!(fit.model.p.iter().zip(&p_hat).all(|(x, y)| (x - y).abs() < 1e-12));
        let found =
            curate_audited(&rated, model, temper, &fit.model, 0.5, false, &mut SILENT.clone()).unwrap();
        for row in 0..len {
            let slow = slow_posterior(&pool, row, (&t, beta), &fit.model);
            let mean: f64 = slow.iter().enumerate().map(|(y, q)| y as f64 * q).sum();
            prop_assert!((found.expected[row] - mean).abs() < 1e-9);
        }
        let rows: Vec<u32> = (0..u32::try_from(len).unwrap()).collect();
        let posteriors = audited_posteriors(&rated, model, temper, &fit.model, &rows).unwrap();
        for (posterior, confidence) in posteriors.chunks_exact(classes).zip(&found.confidence) {
            let largest = posterior.iter().copied().fold(0.0, f64::max);
            prop_assert_eq!(largest.to_bits(), confidence.to_bits());
        }
    }

    /// A sample that came in with half the probability counts as two.
    #[test]
    fn weights_are_repetitions_of_the_counts(golds in prop::collection::vec(0_i8..3, 10), own in 0_usize..3) {
        let case = |gold: i8, weight: f64| Case {
            own: Some(own),
            gold: usize::try_from(gold).unwrap(),
            weight,
            evidence: [0.0; MAX_CLASSES],
            fold: 0,
        };
        let once: Vec<Case> = golds.iter().map(|&gold| case(gold, 2.0)).collect();
        let twice: Vec<Case> = golds.iter().chain(&golds).map(|&gold| case(gold, 1.0)).collect();
        let (one, two) = (fit_rows(once.iter(), 3, 1.0), fit_rows(twice.iter(), 3, 1.0));
        prop_assert!(one.t.iter().chain(&one.p).zip(two.t.iter().chain(&two.p)).all(|(x, y)| (x - y).abs() < 1e-12));
    }
}
