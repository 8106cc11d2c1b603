//! Every kernel against the plain sum, and against each other.

use half::f16;
use proptest::prelude::*;

use super::*;

/// Two rows of the same dimension, within the range whose f32 products neither overflow nor vanish.
fn two_rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    prop::collection::vec((-1e3_f32..1e3, -1e3_f32..1e3), 1..200).prop_map(|pairs| pairs.into_iter().unzip())
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
    fn the_mask_names_the_rows_that_reach_a_floor(
        entries in prop::collection::vec(0_u8..40, TILE_ROWS * TILE_COLUMNS),
        rows in prop::array::uniform8(30_u8..44),
        columns in prop::collection::vec(30_u8..44, TILE_COLUMNS),
    ) {
        let mut tile = Tile::default();
        tile.0.as_flattened_mut().copy_from_slice(&entries.iter().map(|&e| f32::from(e)).collect::<Vec<_>>());
        let rows = rows.map(f32::from);
        let columns: [f32; TILE_COLUMNS] = std::array::from_fn(|c| f32::from(columns[c]));
        let reaches = |r: usize| (0..TILE_COLUMNS).any(|c| tile.0[r][c] >= rows[r] || tile.0[r][c] >= columns[c]);
        let expected = (0..TILE_ROWS).filter(|&r| reaches(r)).fold(0, |mask, r| mask | 1 << r);
        for kernel in Kernel::available() {
            prop_assert_eq!(kernel.reaching(&tile, &rows, &columns), expected);
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
