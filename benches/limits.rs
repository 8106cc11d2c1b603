//! What the machine can do at most: multiply-add peaks and read bandwidths, the floor they put under the exact
//! graph, and how near the block products of the neighbor search come to it.
//!
//! ```sh
//! cargo bench -p ds2-benches --bench limits -- 52002 384 2   # rows, dimensions, threads
//! ```
//!
//! A peak is one instruction over independent sums that never leave the registers; a bandwidth is the sum of a
//! buffer that fits the cache in question. Every figure is the median of several timed runs after a warm-up,
//! with the best of them in parentheses: on a machine that does other work, the best is nearer to the limit.
//! The exact graph needs every pair once, `N^2 d / 2` multiplications and as many additions.
#![expect(unsafe_code, reason = "measuring instructions found at run time")]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::env;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use ds2_core::dot::{FullDepth, Kernel};

/// Timed runs of one figure.
const RUNS: usize = 31;
/// Length of a timed run in seconds, about: far above the resolution of the clock, yet often undisturbed.
const SECONDS: f64 = 0.02;

/// Does so many rounds of the work.
type Work = Box<dyn FnMut(u64)>;
/// Makes the work of one thread, with a buffer of its own if it needs one.
type Make = Box<dyn Fn() -> Work + Sync>;

/// Something a machine can do, and how many operations or bytes one round of it is.
struct Unit {
    name: &'static str,
    per_round: f64,
    /// None: this machine cannot.
    make: Option<Make>,
}

/// What was reached in several runs, in 10^9 a second.
struct Rate {
    median: f64,
    best: f64,
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::{
        __m256i, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_set1_epi8, _mm256_set1_epi16,
        _mm256_set1_epi32, _mm256_set1_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_set1_epi8,
        _mm512_set1_epi32, _mm512_set1_ps,
    };
    use std::array::from_fn;
    use std::hint::black_box;

    use super::{Make, Unit};

    /// Sums of a kernel: more than two units with a latency of five need, fewer than there are registers.
    const SUMS: usize = 12;

    /// Every sum starts elsewhere, or the compiler might see that they are all the same.
    fn start(at: usize) -> i32 {
        black_box(i32::try_from(at).expect("few sums"))
    }

    #[target_feature(enable = "avx512f")]
    fn fma_512(rounds: u64) {
        let x = _mm512_set1_ps(black_box(0.5));
        let mut sums: [_; SUMS] = from_fn(|at| _mm512_set1_ps(start(at) as f32));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(x, x, *sum);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    fn fma_256(rounds: u64) {
        let x = _mm256_set1_ps(black_box(0.5));
        let mut sums: [_; SUMS] = from_fn(|at| _mm256_set1_ps(start(at) as f32));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(x, x, *sum);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn vnni_512(rounds: u64) {
        let x = _mm512_set1_epi8(black_box(3));
        let mut sums: [_; SUMS] = from_fn(|at| _mm512_set1_epi32(start(at)));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, x, x);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,avxvnni")]
    fn vnni_256(rounds: u64) {
        let x = _mm256_set1_epi8(black_box(3));
        let mut sums: [_; SUMS] = from_fn(|at| _mm256_set1_epi32(start(at)));
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_dpbusd_avx_epi32(*sum, x, x);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2")]
    fn maddubs_256(rounds: u64) {
        let (x, one) = (_mm256_set1_epi8(black_box(3)), _mm256_set1_epi16(black_box(1)));
        let mut sums: [_; SUMS] = from_fn(|at| _mm256_set1_epi32(start(at)));
        for _ in 0..rounds {
            for sum in &mut sums {
                accumulate(sum, x, one);
            }
        }
        black_box(sums);
    }

    /// `sum += x . x` by the three instructions AVX2 needs. As intrinsics the first two would be taken out of
    /// the loop, as their operands do not change.
    #[target_feature(enable = "avx2")]
    fn accumulate(sum: &mut __m256i, x: __m256i, one: __m256i) {
        // SAFETY: the instructions belong to AVX2, which the function requires; they touch no memory and no
        // flags, and write no registers but the two named as outputs.
        unsafe {
            asm!(
                "vpmaddubsw {product}, {x}, {x}",
                "vpmaddwd {product}, {product}, {one}",
                "vpaddd {sum}, {sum}, {product}",
                x = in(ymm_reg) x,
                one = in(ymm_reg) one,
                sum = inout(ymm_reg) *sum,
                product = out(ymm_reg) _,
                options(nomem, nostack, preserves_flags),
            );
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn sum_512(buffer: &[u64]) -> u64 {
        super::sum(buffer)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn sum_256(buffer: &[u64]) -> u64 {
        super::sum(buffer)
    }

    /// The kernel as a unit, which the machine may lack.
    macro_rules! unit {
        ($name:literal, $kernel:ident, $lanes:literal, $($feature:tt)+) => {
            Unit {
                name: $name,
                per_round: (2 * $lanes * SUMS) as f64,
                make: ($(is_x86_feature_detected!($feature))&&+).then(|| -> Make {
                    // SAFETY: made only where the features of the kernel were detected.
                    Box::new(|| Box::new(|rounds| unsafe { $kernel(rounds) }))
                }),
            }
        };
    }

    pub(super) fn units() -> Vec<Unit> {
        vec![
            unit!("f32 FMA, AVX-512", fma_512, 16, "avx512f"),
            unit!("f32 FMA, AVX2", fma_256, 8, "avx2" "fma"),
            unit!("int8 vpdpbusd, AVX-512 VNNI", vnni_512, 64, "avx512f" "avx512vnni"),
            unit!("int8 vpdpbusd, AVX-VNNI", vnni_256, 32, "avx2" "avxvnni"),
            unit!("int8 maddubs + madd + add, AVX2", maddubs_256, 32, "avx2"),
        ]
    }
}

/// Multiply-add units of this architecture, those the machine lacks among them.
fn units() -> Vec<Unit> {
    #[cfg(target_arch = "x86_64")]
    return x86::units();
    #[cfg(not(target_arch = "x86_64"))]
    return Vec::new();
}

/// Sum in as many lanes as the widest registers can use; the instruction set is the caller's.
#[expect(clippy::inline_always, reason = "compiled into the function of each instruction set")]
#[inline(always)]
fn sum(buffer: &[u64]) -> u64 {
    let mut lanes = [0_u64; 64];
    for chunk in buffer.chunks_exact(64) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(*value);
        }
    }
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

/// Read the buffer once, by the widest loads the machine has.
fn read(buffer: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: detected on the line above.
            return unsafe { x86::sum_512(buffer) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: detected on the line above.
            return unsafe { x86::sum_256(buffer) };
        }
    }
    sum(buffer)
}

/// Reading of a buffer that each thread has for itself.
fn memory(name: &'static str, kibibytes: usize) -> Unit {
    let bytes = kibibytes << 10;
    let make = move || -> Work {
        // Not zeros: pages of zeros that nobody wrote are all one page.
        let buffer = vec![1_u64; bytes / size_of::<u64>()];
        Box::new(move |rounds| (0..rounds).for_each(|_| _ = black_box(read(black_box(&buffer)))))
    };
    Unit { name, per_round: bytes as f64, make: Some(Box::new(make)) }
}

/// The block product of a neighbor search, at full depth.
fn product(kernel: Kernel, dim: usize) -> Unit {
    let make = move || -> Work {
        let mut product = FullDepth::new(kernel, dim);
        Box::new(move |rounds| (0..rounds).for_each(|_| _ = black_box(product.run())))
    };
    let per_round = FullDepth::new(kernel, dim).operations() as f64;
    Unit { name: kernel.name(), per_round, make: Some(Box::new(make)) }
}

/// Rounds that take about [`SECONDS`]; finding out is the warm-up.
fn calibrate(work: &mut Work) -> u64 {
    let mut rounds = 1;
    loop {
        let begun = Instant::now();
        work(rounds);
        if begun.elapsed().as_secs_f64() > SECONDS / 2.0 {
            return rounds;
        }
        rounds *= 2;
    }
}

/// What `threads` threads reach together: in every run all begin at once, and the last to end counts.
fn measure(make: &Make, per_round: f64, threads: usize) -> Rate {
    let rounds = calibrate(&mut make());
    let barrier = Barrier::new(threads);
    let timed = || -> Vec<f64> {
        let mut work = make();
        work(rounds);
        let mut run = || {
            barrier.wait();
            let begun = Instant::now();
            work(rounds);
            begun.elapsed().as_secs_f64()
        };
        (0..RUNS).map(|_| run()).collect()
    };
    let seconds: Vec<Vec<f64>> = thread::scope(|scope| {
        let begun: Vec<_> = (0..threads).map(|_| scope.spawn(timed)).collect();
        begun.into_iter().map(|thread| thread.join().expect("measuring does not fail")).collect()
    });
    let slowest = |run: usize| seconds.iter().map(|of_thread| of_thread[run]).fold(0.0, f64::max);
    let mut rates: Vec<f64> =
        (0..RUNS).map(|run| threads as f64 * rounds as f64 * per_round / slowest(run) / 1e9).collect();
    rates.sort_by(f64::total_cmp);
    Rate { median: rates[RUNS / 2], best: rates[RUNS - 1] }
}

/// Print a line per unit: its rates on one thread and on `threads`, and what `floor` makes of the best.
fn print(units: &[Unit], threads: usize, floor: impl Fn(f64) -> String) {
    for unit in units {
        let Some(make) = &unit.make else {
            println!("{:<34} this machine lacks it", unit.name);
            continue;
        };
        let [one, all] = [1, threads].map(|threads| measure(make, unit.per_round, threads));
        println!(
            "{:<34} {:>8.1} ({:>7.1}) {:>8.1} ({:>7.1})  {}",
            unit.name,
            one.median,
            one.best,
            all.median,
            all.best,
            floor(all.best)
        );
    }
}

fn main() {
    // Cargo passes `--bench`.
    let mut numbers = env::args().skip(1).filter(|argument| argument != "--bench").map(|argument| {
        argument
            .parse::<usize>()
            .unwrap_or_else(|_| panic!("expected ROWS DIMENSIONS THREADS, got `{argument}`"))
    });
    let mut next = |default| numbers.next().unwrap_or(default);
    let (rows, dim, threads) = (next(100_000), next(384), next(2).max(1));
    let operations = (rows as f64).powi(2) * dim as f64;
    println!("median (best) of {RUNS} runs on 1 thread and on {threads}");
    println!("10^9 operations a second; floor of the exact graph of {rows} x {dim} on {threads} threads");
    print(&units(), threads, |best| format!("{:.3} s", operations / best / 1e9));
    println!("the same, of the block product of each kernel");
    let products: Vec<Unit> = Kernel::available().into_iter().map(|kernel| product(kernel, dim)).collect();
    print(&products, threads, |best| format!("{:.3} s", operations / best / 1e9));
    println!("10^9 bytes read a second, from a buffer for each thread");
    let memories =
        [memory("256 KiB (L2)", 256), memory("4 MiB (L3)", 4 << 10), memory("256 MiB (DRAM)", 256 << 10)];
    print(&memories, threads, |_| String::new());
}
