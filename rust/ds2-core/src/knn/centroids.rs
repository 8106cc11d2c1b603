//! Clusters of coded rows, in whole numbers: the same on every machine.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::operands::{Coded, Packed};
use crate::dot::{
    ByteTile, GROUP, Kernel, PanelTerms, PerColumn, StripTerms, TILE_COLUMNS, TILE_ROWS, WideBytes,
};
use crate::random::Stream;

/// Rounds of k-means.
const ROUNDS: usize = 4;
/// Rows a cluster that k-means looks at.
const ROWS_PER_CLUSTER: usize = 40;
/// Centroids there are at most.
const MOST: f64 = 4096.0;
const SEED: u64 = 11;

/// Directions, coded with one step for all.
pub(crate) struct Centroids {
    pub(crate) count: usize,
    /// The directions, one after another.
    bytes: Vec<i8>,
    width: usize,
    packed: Packed,
}

impl Centroids {
    /// The directions of the sums of rows, each of `width` bytes.
    #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
    fn of_sums(sums: &[i64], width: usize) -> Self {
        let scales: Vec<f64> = sums
            .chunks_exact(width)
            .map(|sum| sum.iter().map(|&x| (x as f64) * (x as f64)).sum::<f64>().sqrt().recip())
            .map(|scale| if scale.is_finite() { scale } else { 0.0 })
            .collect();
        let units = sums.chunks_exact(width).zip(&scales);
        let highest = units.flat_map(|(sum, scale)| sum.iter().map(move |&x| (x as f64 * scale).abs()));
        let step = highest.fold(f64::MIN_POSITIVE, f64::max) / 127.0;
        let codes = sums.chunks_exact(width).zip(&scales);
        let code = |x: i64, scale: f64| (x as f64 * scale / step).round() as i8;
        Self::new(codes.flat_map(|(sum, &scale)| sum.iter().map(move |&x| code(x, scale))).collect(), width)
    }

    fn new(bytes: Vec<i8>, width: usize) -> Self {
        let mut packed = Packed::default();
        packed.fill(width, bytes.chunks_exact(width).map(|row| (row, 0)));
        Self { count: bytes.len() / width, bytes, width, packed }
    }

    /// The directions as coded rows.
    pub(crate) fn coded(&self, kernel: Kernel) -> Coded<'_> {
        Coded { kernel, bytes: &self.bytes, stride: self.width, width: self.width }
    }

    /// k-means of coded rows by cosine, `ROUNDS` rounds on a sample, from rows drawn at random.
    ///
    /// O(sqrt(N) * 40 sqrt(N) * d).
    fn fit(coded: Coded<'_>, len: usize, count: usize) -> Self {
        let mut draws = Stream::new(SEED, len as u64);
        let size = len.min(count * ROWS_PER_CLUSTER);
        let mut sample: Vec<usize> = (0..size).map(|at| at * len / size).collect();
        for at in 0..count {
            let other = at + draws.below(size - at);
            sample.swap(at, other);
        }
        let start = |rows: &[usize]| -> Vec<i64> {
            rows.iter().flat_map(|&row| coded.row(row).iter().map(|&byte| i64::from(byte))).collect()
        };
        let mut centroids = Self::of_sums(&start(&sample[..count]), coded.width);
        for _ in 0..ROUNDS {
            let nearest = centroids.nearest(coded, &sample, 1);
            let mut sums = vec![0_i64; count * coded.width];
            for (&row, &cluster) in sample.iter().zip(&nearest) {
                let sum = &mut sums[cluster as usize * coded.width..][..coded.width];
                sum.iter_mut().zip(coded.row(row)).for_each(|(sum, &byte)| *sum += i64::from(byte));
            }
            // A cluster nobody is in stays where it is.
            for (sum, old) in
                sums.chunks_exact_mut(coded.width).zip(centroids.bytes.chunks_exact(coded.width))
            {
                if sum.iter().all(|&x| x == 0) {
                    sum.iter_mut().zip(old).for_each(|(sum, &byte)| *sum = i64::from(byte));
                }
            }
            centroids = Self::of_sums(&sums, coded.width);
        }
        centroids.in_chain(coded.kernel)
    }

    /// Cluster `len` rows: the clusters, the cluster each row is nearest to, and the rows by cluster.
    pub(crate) fn sort(coded: Coded<'_>, len: usize) -> (Self, Vec<u32>, Vec<u32>) {
        let clusters = Self::fit(coded, len, Self::suitable(len));
        let nearest = clusters.nearest(coded, &(0..len).collect::<Vec<_>>(), 1);
        let mut order: Vec<u32> = (0_u32..).take(len).collect();
        order.sort_by_key(|&row| nearest[row as usize]);
        (clusters, nearest, order)
    }

    /// How many clusters suit so many rows.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `MOST`")]
    fn suitable(len: usize) -> usize {
        (1.5 * (len as f64).sqrt()).min(MOST) as usize
    }

    /// The directions of blocks of `run` panels.
    pub(crate) fn of_blocks(panels: &[WideBytes], groups: usize, run: usize) -> Self {
        let sums: Vec<i64> = panels
            .par_chunks(run * groups)
            .flat_map_iter(|block| {
                let mut sums = vec![0_i64; groups * GROUP];
                for panel in block.chunks_exact(groups) {
                    for (sums, groups) in sums.chunks_exact_mut(GROUP).zip(panel) {
                        for group in &groups.0 {
                            sums.iter_mut().zip(group).for_each(|(sum, &byte)| *sum += i64::from(byte));
                        }
                    }
                }
                sums
            })
            .collect();
        Self::of_sums(&sums, groups * GROUP)
    }

    /// The same centroids in an order in which similar ones follow each other: each next is the one most
    /// similar to the last of those left.
    fn in_chain(self, kernel: Kernel) -> Self {
        let coded = self.coded(kernel);
        let all: Vec<usize> = (0..self.count).collect();
        let mut similarities = vec![0; self.count * self.count];
        self.products(
            coded,
            &all,
            similarities.par_chunks_mut(TILE_ROWS * self.count),
            |r, products, out| {
                out[r * self.count..][..products.len()].copy_from_slice(products);
            },
        );
        let mut left: Vec<usize> = (1..self.count).collect();
        let mut chain = vec![0];
        while !left.is_empty() {
            let last = &similarities[chain[chain.len() - 1] * self.count..];
            let (at, _) = left
                .iter()
                .enumerate()
                .max_by_key(|&(_, &other)| (last[other], Reverse(other)))
                .expect("some are left");
            chain.push(left.swap_remove(at));
        }
        Self::new(chain.iter().flat_map(|&at| coded.row(at)).copied().collect(), self.width)
    }

    /// The `probes` centroids nearest to each of `rows`, `(rows, probes)`, nearest first, ties by centroid.
    pub(crate) fn nearest(&self, coded: Coded<'_>, rows: &[usize], probes: usize) -> Vec<u32> {
        let probes = probes.min(self.count);
        let mut nearest = vec![0; rows.len() * probes];
        self.products(coded, rows, nearest.par_chunks_mut(TILE_ROWS * probes), |r, products, out| {
            let out = &mut out[r * probes..(r + 1) * probes];
            if let [nearest] = out {
                *nearest = best(products);
                return;
            }
            let mut ranked: Vec<(i32, u32)> = products.iter().copied().zip(0..).collect();
            let key = |&(product, cluster): &(i32, u32)| (Reverse(product), cluster);
            if probes < ranked.len() {
                ranked.select_nth_unstable_by_key(probes, key);
                ranked.truncate(probes);
            }
            ranked.sort_unstable_by_key(key);
            out.iter_mut().zip(&ranked).for_each(|(out, &(_, cluster))| *out = cluster);
        });
        nearest
    }

    /// Multiply `rows` with all centroids; `take` gets the place of a row in its strip, its products, and the
    /// output of the strip.
    fn products<'o, O: Send + 'o>(
        &self,
        coded: Coded<'_>,
        rows: &[usize],
        outputs: impl IndexedParallelIterator<Item = &'o mut [O]>,
        take: impl Fn(usize, &[i32], &mut [O]) + Sync,
    ) {
        let floors = PerColumn([i32::MIN; TILE_COLUMNS]);
        let stride = self.count.next_multiple_of(TILE_COLUMNS);
        let terms = StripTerms { floor: i32::MIN, ..StripTerms::default() };
        rows.par_chunks(TILE_ROWS).zip(outputs).for_each_init(
            || (Vec::new(), vec![0; TILE_ROWS * stride], ByteTile::default()),
            |(strip, products, tile), (rows, out)| {
                coded.strip(rows.iter().copied(), strip);
                for (left, panel, terms_of_panel) in self.packed.panels() {
                    let columns = PanelTerms::to_the_end(terms_of_panel, &floors);
                    coded.kernel.sweep((strip, terms), (panel, columns), &[], tile, &mut [0]);
                    for (r, products) in products.chunks_exact_mut(stride).enumerate() {
                        products[left..][..TILE_COLUMNS].copy_from_slice(&tile.0[r]);
                    }
                }
                for r in 0..rows.len() {
                    take(r, &products[r * stride..][..self.count], out);
                }
            },
        );
    }
}

/// The first of the largest.
fn best(products: &[i32]) -> u32 {
    let mut best = (i32::MIN, 0);
    for (&product, cluster) in products.iter().zip(0..) {
        if product > best.0 {
            best = (product, cluster);
        }
    }
    best.1
}
