//! Every kernel against the plain sum, and against each other.

use half::f16;
use proptest::prelude::*;

use super::*;

/// Two rows of the same dimension, within the range whose f32 products neither overflow nor vanish.
fn two_rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    prop::collection::vec((-1e3_f32..1e3, -1e3_f32..1e3), 1..200).prop_map(|pairs| pairs.into_iter().unzip())
}

/// The arguments of a sweep, with allowances that do bound what the rest of the coordinates may add.
#[derive(Clone, Debug)]
struct Case {
    strip: Vec<NarrowBytes>,
    panel: Vec<WideBytes>,
    rows: StripTerms,
    terms: PerColumn,
    floors: PerColumn,
    allowances: [PerColumn; STAGES],
    stages: Vec<usize>,
}

impl Case {
    /// What a kernel says and leaves in the tile, and where its blocks ended.
    fn sweep(&self, kernel: Kernel) -> (bool, ByteTile, [u64; STAGES + 1]) {
        let (mut tile, mut ended) = (ByteTile::default(), [0; STAGES + 1]);
        let allowances = std::array::from_fn(|stage| &self.allowances[stage]);
        let columns = PanelTerms { terms: &self.terms, floors: &self.floors, allowances };
        let operands = ((self.strip.as_slice(), self.rows), (self.panel.as_slice(), columns));
        let any = kernel.sweep(operands.0, operands.1, &self.stages, &mut tile, &mut ended);
        (any, tile, ended)
    }

    /// The slow twin: term by term.
    fn sums(&self) -> [[i32; TILE_COLUMNS]; TILE_ROWS] {
        let product = |r: usize, c: usize| -> i32 {
            let groups = self.strip.iter().zip(&self.panel);
            groups
                .flat_map(|(a, b)| (0..GROUP).map(move |g| i32::from(a.0[r][g]) * i32::from(b.0[c][g])))
                .sum()
        };
        std::array::from_fn(|r| std::array::from_fn(|c| self.rows.terms[r] + self.terms.0[c] + product(r, c)))
    }
}

fn sweeps() -> impl Strategy<Value = Case> {
    let bytes = prop_oneof![Just(0_u8), Just(255), any::<u8>()];
    let signed = prop_oneof![Just(-127_i8), Just(127), any::<i8>()];
    (1_usize..40).prop_flat_map(move |groups| {
        (
            prop::collection::vec(bytes.clone(), groups * GROUP * TILE_ROWS),
            prop::collection::vec(signed.clone(), groups * GROUP * TILE_COLUMNS),
            prop::array::uniform8(-1_000_000..1_000_000),
            prop::collection::vec((-1_000_000..1_000_000, -3_000_000..3_000_000), TILE_COLUMNS),
            -3_000_000..3_000_000,
            prop::collection::vec(0..=groups, 0..=STAGES),
        )
            .prop_map(move |(a, b, terms, columns, floor, mut stages)| {
                stages.sort_unstable();
                let strip =
                    a.as_chunks::<GROUP>().0.as_chunks::<TILE_ROWS>().0.iter().map(|&g| NarrowBytes(g));
                let panel =
                    b.as_chunks::<GROUP>().0.as_chunks::<TILE_COLUMNS>().0.iter().map(|&g| WideBytes(g));
                let column = |value: &dyn Fn(usize) -> i32| PerColumn(std::array::from_fn(value));
                let allowance = |stage: usize| {
                    let end = stages.get(stage).copied().unwrap_or(groups);
                    // Half for the row, half for the column.
                    i32::try_from((groups - end) * GROUP * 255 * 128 / 2).unwrap()
                };
                Case {
                    strip: strip.collect(),
                    panel: panel.collect(),
                    rows: StripTerms { terms, floor, allowances: std::array::from_fn(allowance) },
                    terms: column(&|c| columns[c].0),
                    floors: column(&|c| columns[c].1),
                    allowances: std::array::from_fn(|stage| PerColumn([allowance(stage); TILE_COLUMNS])),
                    stages,
                }
            })
    })
}

proptest! {
    #[test]
    fn dot_is_the_same_on_every_kernel_and_either_way((a, b) in two_rows()) {
        let expected: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        let size: f64 = a.iter().zip(&b).map(|(&a, &b)| (f64::from(a) * f64::from(b)).abs()).sum();
        let dot = Kernel::fastest().dot(&a, &b);
        prop_assert!((dot - expected).abs() <= a.len() as f64 * f64::EPSILON * size);
        for kernel in Kernel::available() {
            prop_assert_eq!(kernel.dot(&a, &b).to_bits(), dot.to_bits());
            prop_assert_eq!(kernel.dot(&b, &a).to_bits(), dot.to_bits());
        }
    }

    #[test]
    fn every_entry_of_a_tile_is_its_product(values in prop::collection::vec(-1.0_f32..1.0, 56..56 * 40)) {
        let dim = values.len() / 56;
        let (strip, panel) = values.split_at(dim * TILE_ROWS);
        let strip: Vec<Narrow> = strip.as_chunks().0.iter().map(|&column| Narrow(column)).collect();
        let panel: Vec<Wide> = panel.as_chunks().0[..dim].iter().map(|&column| Wide(column)).collect();
        for kernel in Kernel::available() {
            let mut tile = Tile::default();
            kernel.multiply(&strip, &panel, &mut tile);
            for r in 0..TILE_ROWS {
                for c in 0..TILE_COLUMNS {
                    let products = || strip.iter().zip(&panel).map(|(a, b)| f64::from(a.0[r]) * f64::from(b.0[c]));
                    let bound = product_error(dim) * products().map(f64::abs).sum::<f64>();
                    let (found, expected) = (f64::from(tile.0[r][c]), products().sum::<f64>());
                    prop_assert!((found - expected).abs() <= bound, "{} {r} {c}", kernel.name());
                }
            }
        }
    }

    #[test]
    fn every_sum_of_bytes_is_exact(case in sweeps()) {
        let expected = case.sums();
        for kernel in Kernel::available() {
            let (mut tile, mut ended) = (ByteTile::default(), [0; STAGES + 1]);
            let none = PerColumn([i32::MIN; TILE_COLUMNS]);
            let rows = StripTerms { terms: case.rows.terms, floor: i32::MIN, ..StripTerms::default() };
            let columns = PanelTerms::to_the_end(&case.terms, &none);
            prop_assert!(kernel.sweep((&case.strip, rows), (&case.panel, columns), &[], &mut tile, &mut ended));
            prop_assert_eq!(tile.0, expected, "{}", kernel.name());
        }
    }

    #[test]
    fn no_sum_that_reaches_a_floor_is_abandoned(case in sweeps()) {
        let expected = case.sums();
        let reaches = |sum: i32, c: usize| sum >= case.rows.floor.min(case.floors.0[c]);
        for kernel in Kernel::available() {
            let (any, tile, ended) = case.sweep(kernel);
            prop_assert!(ended.iter().sum::<u64>() > 0);
            for (r, (found, expected)) in tile.0.iter().zip(&expected).enumerate() {
                for (c, (&found, &expected)) in found.iter().zip(expected).enumerate() {
                    let kept = any && found == expected;
                    let abandoned = !any || found == bytes::ABANDONED;
                    prop_assert!(kept || (abandoned && !reaches(expected, c)), "{} {} {}", kernel.name(), r, c);
                }
            }
        }
    }

    #[test]
    fn what_no_sum_can_reach_is_abandoned_at_once(mut case in sweeps()) {
        case.rows.floor = i32::MAX / 2;
        case.floors = PerColumn([i32::MAX / 2; TILE_COLUMNS]);
        for kernel in Kernel::available() {
            let (any, _, ended) = case.sweep(kernel);
            prop_assert!(!any);
            prop_assert!(ended[0] > 0 && ended[1..].iter().all(|&count| count == 0), "{ended:?}");
        }
    }

    #[test]
    fn the_masks_name_the_sums_that_reach_a_floor(
        sums in prop::collection::vec(0..40, TILE_ROWS * TILE_COLUMNS),
        rows in prop::array::uniform8(30..44),
        columns in prop::collection::vec(30..44, TILE_COLUMNS),
    ) {
        let mut tile = ByteTile::default();
        tile.0.as_flattened_mut().copy_from_slice(&sums);
        let columns = PerColumn(std::array::from_fn(|c| columns[c]));
        for kernel in Kernel::available() {
            let masks = kernel.reaching(&tile, &rows, &columns);
            for (r, mask) in masks.into_iter().enumerate() {
                prop_assert_eq!(mask >> TILE_COLUMNS, 0);
                for c in 0..TILE_COLUMNS {
                    let reaches = tile.0[r][c] >= rows[r].min(columns.0[c]);
                    prop_assert_eq!(mask >> c & 1 == 1, reaches, "{} {} {}", kernel.name(), r, c);
                }
            }
        }
    }

    #[test]
    fn half_precision_widens_exactly(bits in prop::collection::vec(any::<u16>(), 0..50)) {
        let row: Vec<f16> = bits.into_iter().map(f16::from_bits).collect();
        for kernel in Kernel::available() {
            let mut buffer = vec![7.0; 3];
            let widened = kernel.widen(&row, &mut buffer);
            prop_assert_eq!(widened.len(), row.len());
            for (wide, half) in widened.iter().zip(&row) {
                prop_assert!(wide.to_bits() == half.to_f32().to_bits() || (wide.is_nan() && half.is_nan()));
            }
        }
    }
}

#[test]
fn the_error_bound_grows_and_gives_up_in_time() {
    assert!(product_error(1) > 0.0 && product_error(384) < 2.4e-5);
    assert!(product_error((1 << 23) - 1) <= 1.0 && product_error(1 << 23).is_infinite());
}

#[test]
fn kernels_come_fastest_first_and_end_with_the_portable_one() {
    let kernels = Kernel::available();
    assert_eq!(kernels[0], Kernel::fastest());
    assert_eq!(kernels[kernels.len() - 1].name(), "portable");
}
