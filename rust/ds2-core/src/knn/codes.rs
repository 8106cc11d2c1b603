//! Rows as bytes, with what bounds the similarity of any two of them from above: see `BOUND.md`, which the
//! documentation of [`crate::knn`] contains, for what is computed here and why it holds.

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::cosine::Cosine;
use super::operands::Coded;
use super::rotation::{Rotation, Strip};
use crate::Element;
use crate::dot::{GROUP, Kernel, STAGES, TILE_COLUMNS, TILE_ROWS, WideBytes, product_error};

/// The largest code.
const LIMIT: f32 = 127.0;
/// Rows that the step is measured on.
const STEP_ROWS: usize = 512;
/// The smallest step: similarities and all terms, at most 20 together, stay below 2^27 in units of its square.
const LEAST_STEP: f32 = 1.0 / 2048.0;
/// The floor of a row with fewer than k neighbors: below any sum of two rows.
pub(crate) const NO_FLOOR: i32 = -(1 << 28);
/// The term of a place without a row: sums with it are below [`NO_FLOOR`].
pub(crate) const NO_ROW: i32 = -(1 << 29);
/// Unit roundoff of f32.
const UNIT: f64 = f32::EPSILON as f64 / 2.0;

/// All rows as bytes, and their terms.
pub(crate) struct Codes {
    /// Bytes of a row, a whole number of groups.
    pub(crate) width: usize,
    /// Groups after which the heads end; empty if the whole rows alone are compared.
    pub(crate) stages: Vec<usize>,
    /// The codes, row after row, and places without a row up to a whole panel.
    pub(crate) bytes: Vec<WideBytes>,
    /// The term c of each row.
    pub(crate) terms: Vec<i32>,
    /// What its code may be off by, in units of `s^2`: `q.q' + c + c'` exceeds the similarity by at most
    /// twice the sum of these of two rows.
    pub(crate) errors: Vec<i32>,
    /// The allowances of each row, stage by stage.
    pub(crate) allowances: Vec<Vec<i32>>,
    /// What is added for each row to estimate a similarity, `q.q'` and these of both, in units of `s^2`.
    pub(crate) estimates: Vec<i32>,
    /// `s^2`
    pub(crate) square: f64,
}

/// What is measured of a row: the term before errors are added, and lengths.
#[derive(Clone, Copy, Default)]
struct Measures {
    /// `m.u - m.m / 2`
    offset: f64,
    /// `|e|` of the whole row.
    error: f64,
    /// `|e_h|` and `|t|^2` of the stages.
    heads: [(f64, f64); STAGES],
    /// The larger of `|z|` and `|s q|`.
    longest: f64,
}

impl Codes {
    /// Encode all rows, on the current rayon pool. O(N d^2) with principal components, else O(N d log d).
    pub(crate) fn encode<T: Element>(cosine: &Cosine<'_, T>, rotation: &Rotation) -> Self {
        let (len, dim) = (cosine.rows().len(), cosine.rows().dim());
        let width = dim.next_multiple_of(GROUP);
        let quantizer = Quantizer::new(cosine, rotation);
        let mut bytes = vec![WideBytes::default(); len.div_ceil(TILE_COLUMNS) * (width / GROUP)];
        let mut measures = vec![Measures::default(); len];
        cast_slice_mut::<_, i8>(&mut bytes)
            .par_chunks_mut(TILE_ROWS * width)
            .zip(measures.par_chunks_mut(TILE_ROWS))
            .enumerate()
            .with_min_len(8)
            .for_each_init(Strip::default, |strip, (at, (bytes, measures))| {
                let start = at * TILE_ROWS;
                rotation.apply(cosine, start..start + measures.len(), strip);
                let images = strip.images.chunks_exact(dim).zip(&strip.means);
                for ((image, &product), (bytes, measures)) in
                    images.zip(bytes.chunks_exact_mut(width).zip(measures))
                {
                    *measures = quantizer.encode(image, product, bytes);
                }
            });
        let longest = measures.par_iter().map(|of| of.longest).reduce(|| 0.0, f64::max);
        let slack = slack(rotation, longest, dim);
        let square = quantizer.square();
        let heads = rotation.stages().len() - 1;
        let whole = |of: &Measures| of.offset + longest * of.error + slack / 2.0;
        let term = |of: &Measures| units_above(whole(of), square);
        let allowance = |of: &Measures, stage: usize| {
            let (error, tail) = of.heads[stage];
            units_above(of.offset + longest * error + tail / 2.0 + slack / 2.0, square) - term(of)
        };
        let of_each = |value: &(dyn Fn(&Measures) -> i32 + Sync)| measures.par_iter().map(value).collect();
        Self {
            width,
            stages: rotation.stages()[..heads].iter().map(|end| end / GROUP).collect(),
            terms: of_each(&term),
            errors: of_each(&|of| units_above(longest * of.error + slack / 2.0, square)),
            allowances: (0..heads).map(|stage| of_each(&|of| allowance(of, stage))).collect(),
            estimates: of_each(&|of| nearest_units(of.offset, square)),
            bytes,
            square,
        }
    }

    /// The part of the codes before the first stage ends, where most of the variance is; all, if there is none.
    pub(crate) fn heads(&self, kernel: Kernel) -> Coded<'_> {
        let width = self.stages.first().map_or(self.width, |groups| groups * GROUP);
        Coded { width, ..self.coded(kernel) }
    }

    /// The codes, row after row.
    pub(crate) fn coded(&self, kernel: Kernel) -> Coded<'_> {
        Coded { kernel, bytes: cast_slice(&self.bytes), stride: self.width, width: self.width }
    }
}

/// The floor of a row whose k-th nearest neighbor has this similarity, or a larger one; `square` is the square
/// of the step.
#[expect(clippy::cast_possible_truncation, reason = "at most 1 / LEAST_STEP^2")]
pub(crate) fn floor_of(similarity: f32, square: f64) -> i32 {
    (f64::from(similarity) / square).floor() as i32 - 1
}

/// What is added for each pair, beside the terms that depend on rows.
fn slack(rotation: &Rotation, longest: f64, dim: usize) -> f64 {
    let mean = rotation.mean().iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let image = rotation.error(longest);
    let of_images = 2.0 * image * longest + image * image;
    let of_means = 2.0 * UNIT * mean;
    let of_doubles = 8.0 * dim as f64 * f64::EPSILON * (1.0 + mean);
    1.001 * (of_images + of_means + of_doubles + UNIT)
}

/// The least whole number of units of `square` above `value`.
#[expect(clippy::cast_possible_truncation, reason = "at most 20 / LEAST_STEP^2")]
fn units_above(value: f64, square: f64) -> i32 {
    (value / square).ceil() as i32 + 1
}

/// The nearest whole number of units of `square`.
#[expect(clippy::cast_possible_truncation, reason = "at most 2 / LEAST_STEP^2")]
fn nearest_units(value: f64, square: f64) -> i32 {
    (value / square).round() as i32
}

/// Turns images into codes.
struct Quantizer<'a> {
    step: f32,
    stages: &'a [usize],
    /// `m.m / 2`
    half_mean: f64,
    /// What squares of lengths computed in f32 are multiplied by, to be no less than the true ones.
    rounding: f64,
}

impl<'a> Quantizer<'a> {
    fn new<T: Element>(cosine: &Cosine<'_, T>, rotation: &'a Rotation) -> Self {
        let (len, dim) = (cosine.rows().len(), cosine.rows().dim());
        let count = len.min(STEP_ROWS);
        let highest = (0..count.div_ceil(TILE_ROWS))
            .into_par_iter()
            .map_init(Strip::default, |strip, at| {
                let start = at * TILE_ROWS * (len / count).max(1);
                let rows = start..(start + TILE_ROWS).min(len);
                rotation.apply(cosine, rows.clone(), strip);
                let images = &strip.images[..rows.len() * dim];
                images.iter().fold(0.0_f32, |highest, value| highest.max(value.abs()))
            })
            .reduce(|| 0.0, f32::max);
        // The last 8 bits of the step are zero: its products with codes are exact.
        let step = f32::from_bits(((highest / LIMIT).max(LEAST_STEP).to_bits() + 0xff) & !0xff);
        Self {
            step,
            stages: rotation.stages(),
            half_mean: rotation.mean().iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / 2.0,
            rounding: 1.0 + 4.0 * product_error(dim + 8),
        }
    }

    fn square(&self) -> f64 {
        f64::from(self.step) * f64::from(self.step)
    }

    /// Quantize one image.
    fn encode(&self, image: &[f32], product: f64, bytes: &mut [i8]) -> Measures {
        let (mut errors, mut images, mut codes) = ([0.0; STAGES + 1], [0.0; STAGES + 1], [0.0; STAGES + 1]);
        let mut start = 0;
        for (stage, &end) in self.stages.iter().enumerate() {
            (errors[stage], images[stage], codes[stage]) =
                quantize(&image[start..end], self.step, &mut bytes[start..end]);
            start = end;
        }
        let length = |squares: &[f64]| squares.iter().sum::<f64>() * self.rounding + 1e-30;
        let mut measures = Measures {
            offset: product - self.half_mean,
            error: length(&errors).sqrt(),
            longest: length(&images).max(length(&codes)).sqrt(),
            ..Measures::default()
        };
        for (stage, head) in measures.heads.iter_mut().take(self.stages.len() - 1).enumerate() {
            *head = (length(&errors[..=stage]).sqrt(), length(&images[stage + 1..]));
        }
        measures
    }
}

/// Round `image / step` to codes; the sums of the squares of what is left, of the image, and of `step * code`.
#[expect(clippy::cast_possible_truncation, reason = "a whole number within the limit")]
fn quantize(image: &[f32], step: f32, bytes: &mut [i8]) -> (f64, f64, f64) {
    /// Added to a small number, it leaves no bits for a fraction.
    const WHOLE: f32 = 3.0 * (1 << 22) as f32;
    const LANES: usize = 16;
    let scale = step.recip();
    let (mut errors, mut images, mut codes) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
    for (image, bytes) in image.chunks(LANES).zip(bytes.chunks_mut(LANES)) {
        for (lane, (&value, byte)) in image.iter().zip(bytes).enumerate() {
            let code = ((value * scale).clamp(-LIMIT, LIMIT) + WHOLE) - WHOLE;
            *byte = code as i8;
            let coded = step * code;
            let error = value - coded;
            errors[lane] += error * error;
            images[lane] += value * value;
            codes[lane] += coded * coded;
        }
    }
    let sum = |lanes: [f32; LANES]| lanes.iter().map(|&lane| f64::from(lane)).sum();
    (sum(errors), sum(images), sum(codes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Rows;
    use crate::knn::cosine::Pair;
    use crate::knn::tests::pool;

    /// Check the bounds of every pair of rows, whole and stage by stage; how tight the whole one is on average.
    fn check(rows: Rows<'_, f32>, staged: bool) -> f64 {
        let cosine = Cosine::measure(rows, Kernel::fastest(), true).unwrap();
        let rotation = Rotation::fit(&cosine, staged);
        let codes = Codes::encode(&cosine, &rotation);
        let coded = codes.coded(Kernel::fastest());
        let mut pair = Pair::default();
        let (mut excess, mut count) = (0.0, 0.0);
        for (i, row) in (0..rows.len()).zip(0_u32..) {
            for (j, other) in (i + 1..rows.len()).zip(row + 1..) {
                let similarity = cosine.similarity(row, other, &mut pair);
                let products =
                    coded.row(i).iter().zip(coded.row(j)).map(|(&a, &b)| i32::from(a) * i32::from(b));
                let products: Vec<i32> = products.collect();
                let terms = codes.terms[i] + codes.terms[j];
                let sum = products.iter().sum::<i32>() + terms;
                let floor = floor_of(similarity, codes.square);
                assert!(sum >= floor, "rows {i} and {j}: {sum} < {floor}");
                assert!(sum - 2 * (codes.errors[i] + codes.errors[j]) - 1 <= floor + 1);
                for (stage, allowances) in codes.stages.iter().zip(&codes.allowances) {
                    let head: i32 = products[..stage * GROUP].iter().sum();
                    assert!(head + terms + allowances[i] + allowances[j] >= floor, "rows {i} and {j}");
                }
                excess += f64::from(sum) * codes.square - f64::from(similarity);
                count += 1.0;
            }
        }
        excess / count
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn no_similarity_exceeds_its_bound((data, dim) in pool(2..60, 1..70)) {
            check(Rows::new(&data, data.len() / dim, dim).unwrap(), true);
        }
    }

    #[test]
    fn the_bounds_of_stages_hold_and_the_bound_is_tight() {
        let (len, dim) = (2300, 128);
        let mut draws = crate::random::Stream::new(1, 1);
        let mut data: Vec<f32> = (0..len * dim).map(|i| draws.centered() / (1 + i % dim) as f32).collect();
        data[dim] = 1e30;
        let rows = Rows::new(&data, len, dim).unwrap();
        let cosine = Cosine::measure(rows, Kernel::fastest(), true).unwrap();
        assert_eq!(Rotation::fit(&cosine, true).stages(), [64, 96, 128]);
        let excess = check(rows, true);
        assert!((0.0..0.05).contains(&excess), "{excess}");
    }
}
