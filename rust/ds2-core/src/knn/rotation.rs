//! From rows to centered and rotated rows of unit length, which are what is quantized.

use std::ops::Range;

use rayon::prelude::*;

use super::cosine::Cosine;
use super::mixing::Mixing;
use super::principal::Principal;
use crate::Element;
use crate::dot::{Narrow, STAGES, TILE_ROWS, Tile};

/// Rows that the mean and the principal components are estimated from.
const SAMPLE: usize = 8192;
/// Dimensions for which principal components pay: below, a scan ends no earlier for them; above, finding them
/// costs more than it saves.
const PRINCIPAL_DIMS: Range<usize> = 128..1025;
/// Rows for each dimension from which on principal components pay.
const ROWS_PER_DIM: usize = 16;
/// Where products may be abandoned, in twelfths of the dimensions.
const STAGE_SHARES: [usize; STAGES] = [4, 6, 8];
const SEED: u64 = 7;

/// Unit roundoff of f32.
const UNIT: f64 = f32::EPSILON as f64 / 2.0;

enum Map {
    Mixing(Mixing),
    Principal(Principal),
}

/// `u -> Q (u - mean)` for rows u of unit length, Q orthogonal.
pub(crate) struct Rotation {
    mean: Vec<f32>,
    map: Map,
    stages: Vec<usize>,
}

/// Space for a strip of rows.
#[derive(Default)]
pub(crate) struct Strip {
    row: Vec<f32>,
    narrow: Vec<Narrow>,
    tile: Tile,
    /// The images of the rows, one after another.
    pub(crate) images: Vec<f32>,
    /// The product of the mean and each row.
    pub(crate) means: [f64; TILE_ROWS],
}

impl Rotation {
    /// Fit a rotation to rows; `staged`: into principal components, if these pay. On the current rayon pool.
    pub(crate) fn fit<T: Element>(cosine: &Cosine<'_, T>, staged: bool) -> Self {
        let (len, dim) = (cosine.rows().len(), cosine.rows().dim());
        let count = len.min(SAMPLE);
        let mut sample = vec![0.0; count * dim];
        sample.par_chunks_exact_mut(dim).enumerate().for_each_init(Vec::new, |buffer, (at, out)| {
            cosine.unit(at * len / count.max(1), buffer, out);
        });
        let mean = mean(&sample, dim);
        let pays = PRINCIPAL_DIMS.contains(&dim) && len >= ROWS_PER_DIM * dim;
        if !staged || !pays {
            return Self { mean, map: Map::Mixing(Mixing::new(dim, SEED)), stages: vec![dim] };
        }
        let mut stages: Vec<usize> =
            STAGE_SHARES.iter().map(|&share| stage(dim, share)).chain([dim]).collect();
        stages.dedup();
        sample.par_chunks_exact_mut(dim).for_each(|row| {
            row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
        });
        let map = Map::Principal(Principal::fit(cosine.kernel(), &sample, dim, &stages));
        Self { mean, map, stages }
    }

    /// Ends of the groups of coordinates, by falling variance; the last is the dimension.
    pub(crate) fn stages(&self) -> &[usize] {
        &self.stages
    }

    /// The mean of the rows, or what is taken for it.
    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Map the rows `rows`, at most [`TILE_ROWS`].
    pub(crate) fn apply<T: Element>(&self, cosine: &Cosine<'_, T>, rows: Range<usize>, strip: &mut Strip) {
        let dim = self.mean.len();
        let Strip { row: buffer, narrow, tile, images, means } = strip;
        images.resize(TILE_ROWS * dim, 0.0);
        for ((row, image), product) in rows.clone().zip(images.chunks_exact_mut(dim)).zip(means) {
            cosine.unit(row, buffer, image);
            *product = cosine.kernel().dot(image, &self.mean);
            image.iter_mut().zip(&self.mean).for_each(|(value, mean)| *value -= mean);
            if let Map::Mixing(mixing) = &self.map {
                mixing.apply(image);
            }
        }
        if let Map::Principal(map) = &self.map {
            narrow.resize(dim, Narrow::default());
            for (r, image) in images.chunks_exact(dim).enumerate() {
                narrow.iter_mut().zip(image).for_each(|(group, &value)| group.0[r] = value);
            }
            map.apply(cosine.kernel(), narrow, tile, |left, tile| {
                for (image, sums) in images.chunks_exact_mut(dim).zip(&tile.0) {
                    let part = &mut image[left..];
                    let width = part.len().min(sums.len());
                    part[..width].copy_from_slice(&sums[..width]);
                }
            });
        }
    }

    /// Bound on the distance between an image of length `longest` at most and `Q (u - mean)`.
    ///
    /// A row of unit length is rounded to f32 and so is its difference v from the mean: `u (1 + |v|)`, and a
    /// little for the factor of the row and for values that underflow. The map adds `e |v|`, its own error, and
    /// `|v| <= longest / (1 - e)`.
    pub(crate) fn error(&self, longest: f64) -> f64 {
        let of_map = match &self.map {
            Map::Mixing(mixing) => mixing.error(),
            Map::Principal(principal) => principal.error(),
        };
        debug_assert!(of_map < 0.5, "a map this far off is none");
        let longest = longest / (1.0 - of_map);
        1.001 * (of_map * longest + UNIT * (1.0 + longest)) + 1e-30
    }
}

/// The end of a share (in twelfths) of the dimensions, a whole number of steps of the block product.
fn stage(dim: usize, share: usize) -> usize {
    (dim * share / 12).next_multiple_of(32).min(dim)
}

#[expect(clippy::cast_possible_truncation, reason = "any row near the mean will do")]
fn mean(sample: &[f32], dim: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; dim];
    for row in sample.chunks_exact(dim) {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let count = (sample.len() / dim).max(1) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}
