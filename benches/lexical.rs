//! The lexical space of made texts: the whole, and what is left of it when the decomposition is small.
//!
//! Throughput is in bytes of text.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ds2_core::lexical::{LexicalOptions, embed};

const TEXTS: usize = 4096;
const WORDS: u64 = 60;

/// Texts whose words follow Zipf's law, as those of a language do: word `i` is drawn with odds `1 / i`.
fn texts() -> Vec<String> {
    let mut state = 42_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut word = || format!("w{:.0}", 20_000_f64.powf(draw()));
    (0..TEXTS).map(|_| (0..WORDS).map(|_| word()).collect::<Vec<_>>().join(" ")).collect()
}

fn lexical(c: &mut Criterion) {
    let texts = texts();
    let bytes = texts.iter().map(String::len).sum::<usize>();
    let mut group = c.benchmark_group("lexical, 4096 texts");
    group.sample_size(10).throughput(Throughput::Bytes(bytes as u64));
    for dim in [16, 256] {
        let options = LexicalOptions { dim, ..LexicalOptions::default() };
        group.bench_function(BenchmarkId::new("dim", dim), |b| {
            b.iter(|| embed(&texts, &options, &mut |_, _| true));
        });
    }
    group.finish();
}

criterion_group!(benches, lexical);
criterion_main!(benches);
