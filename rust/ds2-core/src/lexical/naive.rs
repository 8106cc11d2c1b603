//! The slow twin: dense f64 TF-IDF and an exact singular value decomposition, for small pools only.

use std::collections::BTreeMap;

/// Lower-cased runs of letters, runs of digits, and single symbols, of ASCII text.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let class = |c: char| match c {
        c if c.is_ascii_alphabetic() => 'a',
        c if c.is_ascii_digit() => '0',
        c if c.is_ascii_punctuation() => '.',
        _ => ' ',
    };
    let mut tokens: Vec<String> = Vec::new();
    let mut last = ' ';
    for c in text.to_lowercase().chars() {
        match class(c) {
            ' ' => {}
            same @ ('a' | '0') if same == last => tokens.last_mut().expect("a run began").push(c),
            _ => tokens.push(c.to_string()),
        }
        last = class(c);
    }
    tokens
}

/// Unit TF-IDF rows over the terms in at least two texts; a row without a term is zero.
pub(super) fn tf_idf(texts: &[String]) -> Vec<Vec<f64>> {
    let counts: Vec<BTreeMap<String, f64>> = texts
        .iter()
        .map(|text| {
            let mut counts = BTreeMap::new();
            for token in tokens(text) {
                *counts.entry(token).or_insert(0.0) += 1.0;
            }
            counts
        })
        .collect();
    let mut frequency: BTreeMap<&str, f64> = BTreeMap::new();
    for token in counts.iter().flat_map(BTreeMap::keys) {
        *frequency.entry(token).or_insert(0.0) += 1.0;
    }
    frequency.retain(|_, count| *count >= 2.0);
    let weight = |counts: &BTreeMap<String, f64>, (token, df): (&&str, &f64)| match counts.get(*token) {
        Some(tf) => (1.0 + tf.ln()) * (1.0 + ((1.0 + texts.len() as f64) / (1.0 + df)).ln()),
        None => 0.0,
    };
    counts.iter().map(|counts| unit(frequency.iter().map(|term| weight(counts, term)).collect())).collect()
}

/// `row` scaled to unit length; zeros stay zeros.
pub(super) fn unit(row: Vec<f64>) -> Vec<f64> {
    let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
    row.into_iter().map(|x| if length > 0.0 { x / length } else { 0.0 }).collect()
}

/// The singular values (descending) and right singular vectors of `rows`, by one-sided Jacobi: columns are
/// rotated in pairs until all are orthogonal; the rotations make up the vectors.
pub(super) fn svd(rows: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let width = rows.first().map_or(0, Vec::len);
    let mut columns: Vec<Vec<f64>> = (0..width).map(|j| rows.iter().map(|row| row[j]).collect()).collect();
    let mut vectors: Vec<Vec<f64>> =
        (0..width).map(|j| (0..width).map(|i| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..60 {
        for p in 0..width {
            for q in p + 1..width {
                let (a, b) = (dot(&columns[p], &columns[p]), dot(&columns[q], &columns[q]));
                let c = dot(&columns[p], &columns[q]);
                if c.abs() > 1e-15 * (a * b).sqrt() {
                    let angle = 0.5 * (2.0 * c).atan2(a - b);
                    rotate(&mut columns, p, q, angle);
                    rotate(&mut vectors, p, q, angle);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..width).collect();
    let length = |j: usize| dot(&columns[j], &columns[j]).sqrt();
    order.sort_by(|&a, &b| length(b).total_cmp(&length(a)));
    (order.iter().map(|&j| length(j)).collect(), order.iter().map(|&j| vectors[j].clone()).collect())
}

fn rotate(columns: &mut [Vec<f64>], p: usize, q: usize, angle: f64) {
    let (sin, cos) = angle.sin_cos();
    for i in 0..columns[p].len() {
        let (x, y) = (columns[p][i], columns[q][i]);
        columns[p][i] = cos * x + sin * y;
        columns[q][i] = cos * y - sin * x;
    }
}

/// The plain inner product.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Texts as unit rows of the space of `dim` directions.
pub(super) fn embed(texts: &[String], dim: usize) -> Vec<Vec<f64>> {
    let weights = tf_idf(texts);
    let (_, directions) = svd(&weights);
    weights.iter().map(|row| unit(directions.iter().take(dim).map(|v| dot(row, v)).collect())).collect()
}
