use proptest::prelude::*;

use super::naive;
use super::{FAINT, Lexical, LexicalOptions, SAMPLE, embed, place as place_others};
use crate::Error;

fn options(dim: usize) -> LexicalOptions {
    LexicalOptions { dim, ..LexicalOptions::default() }
}

fn place<S: AsRef<str> + Sync>(texts: &[S], dim: usize) -> Lexical {
    embed(texts, &options(dim), &mut |_, _| true).unwrap()
}

fn row(lexical: &Lexical, i: usize) -> Vec<f64> {
    lexical.rows[i * lexical.dim..][..lexical.dim].iter().map(|&x| f64::from(x)).collect()
}

/// Every row has unit length or is listed as unknown and zero.
fn assert_unit_rows(lexical: &Lexical, len: usize) {
    assert_eq!(lexical.rows.len(), len * lexical.dim);
    for i in 0..len {
        let square = naive::dot(&row(lexical, i), &row(lexical, i));
        let unknown = lexical.unknown.contains(&u32::try_from(i).unwrap());
        assert!(if unknown { square == 0.0 } else { (square - 1.0).abs() < 1e-6 }, "row {i}: {square}");
    }
}

/// Both spaces give every pair of texts the same cosine.
fn assert_same_similarities(fast: &Lexical, slow: &[Vec<f64>], tolerance: f64) {
    for i in 0..slow.len() {
        for j in 0..slow.len() {
            let (found, expected) =
                (naive::dot(&row(fast, i), &row(fast, j)), naive::dot(&slow[i], &slow[j]));
            assert!((found - expected).abs() < tolerance, "rows {i} and {j}: {found} for {expected}");
        }
    }
}

/// Texts of `topics` groups of words that share two of them: as many strong directions as topics.
fn topical(len: usize, topics: usize) -> Vec<String> {
    let word = |topic: usize, i: usize| {
        format!("{}{}", ["ox", "elm", "gnu", "yew", "auk"][topic], ["a", "b", "c"][i])
    };
    let text = |i: usize| {
        let topic = i % topics;
        let own: Vec<String> = (0..3).map(|j| word(topic, j)).collect();
        format!("the {} {} {} .", own.join(" "), own[i % 3], if i % 7 == 3 { "rare" } else { "" })
    };
    (0..len).map(text).collect()
}

fn words() -> impl Strategy<Value = Vec<String>> {
    let word =
        prop::sample::select(vec!["sun", "Moon", "star", "x1", "42", "day", "night", "?", "a-b", "TIDE"]);
    prop::collection::vec(prop::collection::vec(word, 0..9).prop_map(|words| words.join(" ")), 0..24)
}

proptest! {
    #[test]
    fn a_space_of_full_rank_has_the_similarities_of_the_slow_twin(texts in words()) {
        let fast = place(&texts, 20);
        let slow = naive::embed(&texts, 20);
        assert_unit_rows(&fast, texts.len());
        assert_same_similarities(&fast, &slow, 2e-6);
    }

    #[test]
    fn the_order_of_the_texts_moves_similarities_by_rounding_only(texts in words(), turn in 0_usize..24) {
        let turn = turn % texts.len().max(1);
        let mut turned = texts.clone();
        turned.rotate_left(turn);
        let (before, after) = (place(&texts, 20), place(&turned, 20));
        let expected: Vec<_> = (0..texts.len()).map(|i| row(&before, (i + turn) % texts.len())).collect();
        assert_same_similarities(&after, &expected, 2e-6);
    }

    #[test]
    fn any_text_is_taken(texts in prop::collection::vec("\\PC{0,30}|[\\x00-\\x7f]{0,9}|[一-三 ก-ค😀-😂]{0,9}", 0..12)) {
        assert_unit_rows(&place(&texts, 5), texts.len());
    }
}

#[test]
fn a_truncated_space_agrees_with_the_exact_decomposition() {
    let texts = topical(90, 5);
    for dim in [1, 5] {
        assert_same_similarities(&place(&texts, dim), &naive::embed(&texts, dim), 1e-5);
    }
}

#[test]
fn singular_values_are_those_of_the_weights() {
    let texts = topical(60, 4);
    let (expected, _) = naive::svd(&naive::tf_idf(&texts));
    let found = place(&texts, 6).singular_values;
    assert_eq!(found.len(), 6);
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5 * expected, "{found} for {expected}");
    }
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let texts = topical(3000, 5);
    let with = |threads| {
        let options = LexicalOptions { threads: Some(threads), ..options(7) };
        embed(&texts, &options, &mut |_, _| true).unwrap()
    };
    let one = with(1);
    for threads in [2, 3, 8] {
        assert_eq!(with(threads), one, "{threads} threads");
    }
    assert_eq!(place(&texts, 7), one);
}

#[test]
fn the_seed_turns_the_start_but_not_what_it_finds() {
    let texts = topical(90, 5);
    let other = embed(&texts, &LexicalOptions { seed: 7, ..options(5) }, &mut |_, _| true).unwrap();
    let same: Vec<_> = (0..texts.len()).map(|i| row(&other, i)).collect();
    assert_ne!(place(&texts, 5).rows, other.rows);
    assert_same_similarities(&place(&texts, 5), &same, 1e-5);
}

#[test]
fn large_pools_are_sampled_at_a_fixed_stride() {
    let mut texts = topical(2 * SAMPLE + 1, 2);
    texts[1] = "only here and only here".to_owned();
    texts[2] = "only here".to_owned();
    let lexical = place(&texts, 3);
    // Rows 0, 3, 6 ... are the sample; rows 1 and 2 share words, but with no sampled text.
    assert_eq!(lexical.sampled, (2 * SAMPLE + 1).div_ceil(3));
    assert_eq!(lexical.unknown, [1, 2]);
    assert_unit_rows(&lexical, texts.len());
}

#[test]
fn pools_of_no_one_and_two_texts() {
    let none: [&str; 0] = [];
    assert_eq!(
        place(&none, 3),
        Lexical { rows: vec![], dim: 3, unknown: vec![], terms: 0, sampled: 0, singular_values: vec![] }
    );
    let one = place(&["a word or two"], 3);
    assert_eq!((one.rows, one.unknown, one.terms), (vec![0.0; 3], vec![0], 0));
    let two = place(&["a word or two", "two more"], 3);
    assert_eq!((two.terms, two.unknown.len()), (1, 0));
    assert!((naive::dot(&row(&two, 0), &row(&two, 1)) - 1.0).abs() < 1e-6);
}

#[test]
fn texts_without_a_shared_token_are_zero_rows_and_named() {
    let lexical = place(&["", "sun and moon", "\0\0", "moon and star", "unheard", "\u{1f600}"], 4);
    assert_eq!(lexical.unknown, [0, 2, 4, 5]);
    assert_unit_rows(&lexical, 6);
    let empty = place(&[""; 9], 4);
    assert_eq!(empty.unknown.len(), 9);
    assert!(empty.rows.iter().all(|&value| value == 0.0));
}

#[test]
fn equal_texts_are_one_direction() {
    for text in ["the same text", "word", "\u{1f600}", "東京都", "nul\0inside"] {
        let lexical = place(&[text; 50], 4);
        assert_eq!((lexical.singular_values.len(), lexical.unknown.len()), (1, 0), "{text}");
        assert!((lexical.singular_values[0] - 50_f64.sqrt()).abs() < 1e-5);
        assert!(lexical.rows.chunks(4).all(|row| row == &lexical.rows[..4]));
    }
}

#[test]
fn a_text_of_a_megabyte_is_a_text_like_any() {
    let long = "sun moon ".repeat(120_000);
    let lexical = place(&[long.as_str(), "sun moon", "star tide", "tide star"], 2);
    assert!((naive::dot(&row(&lexical, 0), &row(&lexical, 1)) - 1.0).abs() < 1e-6);
    assert!(naive::dot(&row(&lexical, 0), &row(&lexical, 2)).abs() < 1e-6);
}

#[test]
fn scripts_without_spaces_find_their_like() {
    let texts =
        ["我喜欢北京的秋天", "北京的秋天很美", "スマートフォンを買う", "新しいスマートフォン", "東京"];
    let lexical = place(&texts, 3);
    let similarity = |i, j| naive::dot(&row(&lexical, i), &row(&lexical, j));
    assert!(similarity(0, 1) > 0.9 && similarity(2, 3) > 0.9 && similarity(0, 2).abs() < 0.1);
    assert_eq!(lexical.unknown, [4]);
}

#[test]
fn a_direction_that_is_cut_off_leaves_a_zero_row_not_noise() {
    let mut texts = topical(60, 1);
    texts.push("alpha omega".to_owned());
    texts.push("omega alpha".to_owned());
    let lexical = place(&texts, 1);
    assert_eq!(lexical.unknown, [60, 61], "rows below {FAINT}");
}

#[test]
fn progress_counts_rows_and_may_stop() {
    let texts = topical(20_000, 3);
    let mut seen = Vec::new();
    embed(&texts, &options(3), &mut |done, total| {
        seen.push((done, total));
        true
    })
    .unwrap();
    assert!(
        seen.is_sorted() && seen.iter().all(|&(done, total)| done <= total && total == 20_000),
        "{seen:?}"
    );
    assert_eq!(seen.last(), Some(&(20_000, 20_000)));
    for stop in 0..seen.len() {
        let mut calls = 0;
        let stopped = embed(&texts[..100], &options(3), &mut |_, _| {
            calls += 1;
            calls <= stop
        });
        assert_eq!(matches!(stopped, Err(Error::Interrupted)), calls > stop, "stop at {stop}");
    }
}

#[test]
fn others_are_placed_where_texts_of_the_pool_are() {
    let texts = topical(SAMPLE + 3000, 4);
    let lexical = place(&texts, 5);
    let others = [texts[7].as_str(), "zebra quagga", texts[SAMPLE + 1].as_str(), "THE OXA"];
    let mut seen = Vec::new();
    let rows = place_others(&others, &texts, &options(5), &mut |done, total| {
        seen.push((done, total));
        true
    })
    .unwrap();
    assert_eq!(rows[..5], lexical.rows[5 * 7..][..5]);
    assert_eq!(rows[5..10], [0.0; 5]);
    assert_eq!(rows[10..15], lexical.rows[5 * (SAMPLE + 1)..][..5]);
    assert!(
        naive::dot(&row(&lexical, 0), &rows[15..].iter().map(|&x| f64::from(x)).collect::<Vec<_>>()) > 0.5
    );
    assert!(seen.is_sorted() && seen.last() == Some(&(texts.len(), texts.len())), "{seen:?}");
    assert!(matches!(place_others(&others, &texts, &options(5), &mut |_, _| false), Err(Error::Interrupted)));
    let none: [&str; 0] = [];
    assert!(place_others(&none, &texts[..9], &options(5), &mut |_, _| true).unwrap().is_empty());
}

#[test]
fn senseless_sizes_are_refused() {
    let refused = |options| embed(&["a"], &options, &mut |_, _| true).unwrap_err().to_string();
    assert_eq!(refused(options(0)), "dim must be at least 1, got 0");
    let idle = LexicalOptions { threads: Some(0), ..options(3) };
    assert_eq!(refused(idle), "threads must be at least 1, got 0");
}
