use proptest::prelude::*;

use super::*;
use crate::Rows;
use crate::blocks::join_neighbors;
use crate::naive_bayes as naive;
use crate::transition::fit_transition;

/// Counts of the triples that touch each block, pair by pair.
fn slow_touched(pool: &naive::Pool, blocks: &Blocks, k: usize) -> Vec<f64> {
    let triples = Triples::new(pool.num_classes);
    let mut touched = vec![0.0; blocks.count * triples.len()];
    for (row, &own) in pool.scores.iter().enumerate() {
        let near = pool.neighbors[row * pool.depth..][..k].iter().map(|&other| other as usize);
        let near: Vec<usize> = near.filter(|&other| pool.scores[other] >= 0).collect();
        let Ok(own) = usize::try_from(own) else { continue };
        let pairs = near.len() * near.len().saturating_sub(1) / 2;
        for (place, &a) in near.iter().enumerate() {
            for &b in &near[place + 1..] {
                let mut homes = [row, a, b].map(|member| blocks.of_row[member]).to_vec();
                homes.sort_unstable();
                homes.dedup();
                let scores = [a, b].map(|member| usize::try_from(pool.scores[member]).unwrap());
                for home in homes {
                    let at = home as usize * triples.len() + triples.index(own, scores[0], scores[1]);
                    touched[at] += 1.0 / pairs as f64;
                }
            }
        }
    }
    touched
}

proptest! {
    #[test]
    fn touched_triples_equal_those_counted_pair_by_pair(pool in naive::pools(12), more in 0_usize..12) {
        let k = 2 + more % (pool.depth - 1);
        let rated = pool.rated();
        let blocks = join_neighbors(&rated);
        let fast = touch_blocks(&rated, &blocks, |_| k);
        let slow = slow_touched(&pool, &blocks, k);
        for (position, (x, y)) in fast.iter().zip(&slow).enumerate() {
            prop_assert!((x - y).abs() <= 1e-6, "{x} is not {y} at {position}");
        }
    }

    #[test]
    fn drawing_every_block_once_changes_nothing(pool in naive::pools(8)) {
        let rated = pool.rated();
        let Ok(counts) = count_consensus(&rated, pool.depth) else { return Ok(()) };
        prop_assume!(observed_classes(&counts).len() > 1);
        let blocks = join_neighbors(&rated);
        let refit = Refit::new(&rated, &blocks, counts.clone(), (Prior::Ordinal, 2.0), |_| pool.depth);
        let weights = refit.reweigh(&vec![1; blocks.count]);
        for (weight, cell) in weights.iter().zip(counts.cells()) {
            prop_assert!((weight - cell.weight).abs() <= 1e-9);
        }
        let drawn: Vec<u32> = (0..).take(blocks.count).map(|block| block % 3).collect();
        let weights = refit.reweigh(&drawn);
        prop_assert!(weights.iter().all(|&weight| weight >= 0.0));
        let total: f64 = weights.iter().sum();
        prop_assert!(total == 0.0 || (total - counts.total()).abs() <= 1e-9 * counts.total());
    }
}

/// Groups of `size` samples that are each other's neighbors and share a true score of 0 or 1; every fourth
/// rating, drawn by `seed`, is wrong.
fn groups(count: u32, size: u32, seed: u64) -> (Vec<i8>, Vec<u32>) {
    let mut stream = Stream::new(seed, 0);
    let mut scores = Vec::new();
    for _ in 0..count {
        let truth = stream.below(2);
        scores.extend((0..size).map(|_| {
            let wrong = stream.below(4) == 0;
            i8::from((truth == 1) != wrong)
        }));
    }
    let near = (0..count * size)
        .flat_map(|row| (1..size).map(move |step| row / size * size + (row + step) % size))
        .collect();
    (scores, near)
}

fn bootstrap(scores: &[i8], near: &[u32], k: usize, resampling: Resampling) -> Intervals {
    let depth = near.len() / scores.len();
    let pool = RatedPool::new(scores, Rows::new(near, scores.len(), depth).unwrap(), 2).unwrap();
    bootstrap_transition(&pool, k, Prior::Uniform, Some(1.0), &join_neighbors(&pool), resampling).unwrap()
}

#[test]
fn quantiles_lie_between_order_statistics() {
    let sorted: Vec<f64> = (0..=200).map(f64::from).collect();
    assert!(
        (quantile(&sorted, 0.025) - 5.0).abs() < 1e-12 && (quantile(&sorted, 0.975) - 195.0).abs() < 1e-12
    );
    assert!((quantile(&[1.0, 3.0], 0.25) - 1.5).abs() < 1e-12 && (quantile(&[4.0], 0.9) - 4.0).abs() < 1e-12);
}

/// 300 pools: the intervals of T and p must hold the truth in about 95 % of them. The standard deviation of the
/// share is 1.3 %; the tolerance is three of them and one more per cent.
#[test]
fn intervals_cover_the_truth() {
    let mut covered = [0_u32; 3];
    for seed in 0..300 {
        let (scores, near) = groups(300, 6, seed);
        let found = bootstrap(&scores, &near, 5, Resampling { replicates: 200, seed });
        let holds =
            |interval: Interval, truth: f64| u32::from(interval.low <= truth && truth <= interval.high);
        covered[0] += holds(found.t[0], 0.75);
        covered[1] += holds(found.t[3], 0.75);
        covered[2] += holds(found.p[1], 0.5);
    }
    for hits in covered {
        assert!(hits.abs_diff(285) <= 15, "{covered:?} of 300");
    }
}

/// With one rating per group the groups are the sample: the interval of p must have the width of a proportion's.
#[test]
fn the_width_is_that_of_a_proportion() {
    let scores: Vec<i8> = (0..3000).map(|row| i8::from(row / 3 % 4 == 0)).collect();
    let near: Vec<u32> =
        (0..3000).flat_map(|row| (1..3).map(move |step| row / 3 * 3 + (row + step) % 3)).collect();
    let found = bootstrap(&scores, &near, 2, Resampling { replicates: 2000, seed: 5 });
    let width = found.p[1].high - found.p[1].low;
    let expected = 2.0 * 1.96 * (0.25_f64 * 0.75 / 1000.0).sqrt();
    assert!((width / expected - 1.0).abs() < 0.1, "{width} is not {expected}");
    assert!(found.t[0].low > 0.99 && found.t[3].low > 0.99, "{:?}", found.t);
}

#[test]
fn intervals_hold_the_fit_and_are_the_same_again() {
    let (scores, near) = groups(400, 4, 1);
    let resampling = Resampling { replicates: 100, seed: 3 };
    let found = bootstrap(&scores, &near, 3, resampling);
    let pool = RatedPool::new(&scores, Rows::new(&near, scores.len(), 3).unwrap(), 2).unwrap();
    let fit = fit_transition(&count_consensus(&pool, 3).unwrap(), Prior::Uniform, Some(1.0)).unwrap();
    for (interval, value) in found.t.iter().chain(&found.p).zip(fit.t.iter().chain(&fit.p)) {
        assert!(interval.low < *value && *value < interval.high, "{interval:?} {value}");
    }
    assert!(found.settled.iter().all(|&share| share > 0.99));
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for threads in [one, three] {
        assert_eq!(threads.install(|| bootstrap(&scores, &near, 3, resampling)), found);
    }
    assert_ne!(bootstrap(&scores, &near, 3, Resampling { seed: 4, ..resampling }), found);
}

#[test]
fn too_few_blocks_and_equal_ratings_leave_everything_open() {
    let (scores, near) = groups(3, 4, 1);
    let resampling = Resampling { replicates: 10, seed: 3 };
    let few = bootstrap(&scores, &near, 3, resampling);
    assert!(few.t.iter().all(|&interval| interval == Interval::UNKNOWN));
    let (scores, near) = groups(100, 4, 1);
    let equal = bootstrap(&vec![1; scores.len()], &near, 3, resampling);
    assert!(equal.p.iter().all(|&interval| interval == Interval::UNKNOWN) && equal.settled == [0.0; 2]);
}

#[test]
fn bad_input_is_named() {
    let (scores, near) = groups(3, 4, 1);
    let pool = RatedPool::new(&scores, Rows::new(&near, 12, 3).unwrap(), 2).unwrap();
    let message = |k, strength, replicates| {
        let resampling = Resampling { replicates, seed: 0 };
        bootstrap_transition(&pool, k, Prior::Uniform, strength, &join_neighbors(&pool), resampling)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(message(2, None, 0), "replicates must be at least 1, got 0");
    assert_eq!(message(2, Some(-1.0), 9), "strength must be finite and >= 0, got -1");
    assert_eq!(message(1, None, 9), "k must be at least 2, got 1");
}
