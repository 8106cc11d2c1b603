"""The Rust core.

Arrays go in C-contiguous and of the exact dtype, without a copy; results are new arrays.
"""

from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ds2_fast.progress import Progress

__all__ = [
    "__version__",
    "agreement_by_distance",
    "apply_weights",
    "audited_posteriors",
    "bootstrap",
    "check_graph",
    "choose_centers",
    "choose_marginal",
    "choose_share",
    "compare_close_fit",
    "compress_ratings",
    "consensus_counts",
    "cover",
    "curate",
    "curate_audited",
    "curate_paper",
    "curate_reference",
    "cut_graph",
    "debug_build",
    "divide_bins",
    "draw_stratified",
    "draw_tempered",
    "drop_duplicates",
    "expected_consensus",
    "fit_audit",
    "fit_transition",
    "fit_transition_reference",
    "gram",
    "grow_tree",
    "keep_apart",
    "kernel_name",
    "knn_approx",
    "knn_exact",
    "lexical_embed",
    "lexical_place",
    "locate_facilities",
    "locate_overall",
    "neighbor_information",
    "parse_answer",
    "plain_keys",
    "posteriors",
    "published_order",
    "rank_samples",
    "read_records",
    "score_longtail",
    "shuffle_test",
    "solve_ridge",
    "split_noise",
    "tune_evidence",
    "weigh_importance",
]

__version__: str
debug_build: bool

def kernel_name() -> str:
    """Name the routine that searches run on.

    Returns:
        The one that the environment variable `DS2_FAST_KERNEL` names, or the fastest of this
        machine: `avx512vnni`, `avxvnni`, `avx512vl`, `avx2` or `portable`.

    Raises:
        ValueError: if the variable names none of this machine.
    """

def knn_approx(
    rows: NDArray[np.float32] | NDArray[np.float16],
    k: int,
    recall: float,
    threads: int | None,
    allow_zero: bool,
    progress: Callable[[int, int], object] | None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32], tuple[float, float, float, int, int]]:
    """Find nearly all of the `k` nearest other rows of every row by cosine similarity.

    Args:
        rows: as of `knn_exact`.
        k: neighbors per row, at least 1.
        recall: share of the true neighbors to find at least, in (0, 1).
        threads: as of `knn_exact`.
        allow_zero: as of `knn_exact`.
        progress: as of `knn_exact`.

    Returns:
        Indices and similarities, as of `knn_exact`, and of the recall: what was measured, its 95 %
        interval, on how many rows (0: the search was exact), and how many clusters a row was
        compared with.

    Raises:
        TypeError, ValueError: as of `knn_exact`, and if `recall` is not in (0, 1).
    """

def knn_exact(
    rows: NDArray[np.float32] | NDArray[np.float16],
    k: int,
    threads: int | None,
    allow_zero: bool,
    progress: Callable[[int, int], object] | None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Find the `k` nearest other rows of every row by cosine similarity, exactly.

    Args:
        rows: float32 or float16 `(N, d)`, C-contiguous, finite, `N >= k + 1`; of any length, not
            all zeros unless `allow_zero`.
        k: neighbors per row, at least 1.
        threads: threads to use, at least 1; None = one per core. The result does not depend on it.
        allow_zero: rows of zeros are similar to every row by 0.
        progress: called with rows done and N; what it raises stops the search.

    Returns:
        neighbors uint32 `(N, k)`, nearest first, ties by row; their similarities float32 `(N, k)`.
    """

def check_graph(indices: NDArray[np.uint32], similarities: NDArray[np.float32]) -> None:
    """Raise ValueError unless two `(N, k)` arrays are a neighbor graph over its own rows.

    Neighbors are in range, not the row itself, without repeats, and sorted by similarity
    descending, then row; similarities lie in [-1, 1].
    """

# consensus, transition, curation, trust

class _Transition(TypedDict):
    T: NDArray[np.float64]
    p: NDArray[np.float64]
    strength: float
    steps: int
    converged: bool
    objective: float
    degenerate: bool
    unidentified: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]

class _Tuning(TypedDict):
    k: int
    beta: float
    information: float
    samples: int
    candidate_k: NDArray[np.uint64]
    candidate_beta: NDArray[np.float64]
    candidate_information: NDArray[np.float64]

class _Split(TypedDict):
    rater: NDArray[np.float64]
    heterogeneity: NDArray[np.float64]

class _Curated(TypedDict):
    expected: NDArray[np.float64]
    curated: NDArray[np.int8]
    suggested: NDArray[np.int8]
    misrated: NDArray[np.bool_]
    p_misrated: NDArray[np.float64]
    confidence: NDArray[np.float64]
    entropy: NDArray[np.float64]

class _DistanceBins(TypedDict):
    to_share: NDArray[np.float64]
    max_distance: NDArray[np.float64]
    pairs: NDArray[np.uint64]
    agreement: NDArray[np.float64]
    chance: NDArray[np.float64]

class _CloseFit(TypedDict):
    max_distance: float
    samples: float
    diagonal: float
    diagonal_close: float

class _Bootstrap(TypedDict):
    level: float
    blocks: int
    T: NDArray[np.float64]
    p: NDArray[np.float64]
    settled: NDArray[np.float64]
    noise_share_bound: tuple[float, float]

class _ShuffleTest(TypedDict):
    samples: int
    information: float
    p_value: float
    shuffled: NDArray[np.float64]

def consensus_counts(
    scores: NDArray[np.int8], neighbors: NDArray[np.uint32], num_classes: int, k: int
) -> NDArray[np.float64]:
    """Count consensus over a sample and all pairs of its k nearest neighbors.

    A rated sample with m > 0 ordered pairs of rated neighbors adds 1/m to the pattern
    `(own score, score a, score b)` of each pair; the counts are then symmetrised.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        neighbors: uint32 `(N, L)`, rows of the most similar other samples, nearest first.
        num_classes: K, 2..16.
        k: neighbors used, 2..L.

    Returns:
        float64 `(K, K, K)`, symmetric; sums to the number of samples counted.

    Raises:
        ValueError: if a value is out of range, or no sample could be counted.
    """

def fit_transition(counts: NDArray[np.float64], prior: str, strength: float | None) -> _Transition:
    """Fit T and p to consensus counts by accelerated EM under a prior.

    Args:
        counts: float64 `(K, K, K)`, non-negative; symmetrised first.
        prior: `ordinal` or `uniform`.
        strength: pseudo-ratings per row of T, >= 0; None for the prior's default.

    Returns:
        T `(K, K)` (row = true score), p `(K,)` and what is to be known about the fit.

    Raises:
        ValueError: if a value is out of range.
    """

def tune_evidence(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
) -> _Tuning:
    """Choose how many neighbors to hear, and how much, by leave-self-out prediction of ratings.

    Returns:
        The best k and beta, their information about a rating in nats, and the same for every
        candidate.

    Raises:
        ValueError: if a value is out of range, or no sample is rated.
    """

def neighbor_information(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    k: int,
    beta: float,
) -> float:
    """Measure what k neighbors weighted by beta know about a rating, in nats per sample."""

def split_noise(
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    noise_share: float,
) -> _Split:
    """Split T into rater noise `T_a = (1 - a) I + a T` and heterogeneity `R` with `R T_a = T`.

    Raises:
        ValueError: if `noise_share` is not in [0, 1] or `T_a` has no inverse.
    """

def curate(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    k: int,
    beta: float,
    noise_share: float,
    threshold: float,
    fill_missing: bool,
    progress: Progress | None,
) -> _Curated:
    """Curate every score from its posterior given the own rating and the neighbors'.

    Raises:
        ValueError: if a value is out of range.
    """

class _ShareChoice(TypedDict):
    noise_share: float
    low: float
    high: float
    samples: int
    shares: NDArray[np.float64]
    expected: NDArray[np.float64]
    curated: NDArray[np.float64]

def choose_share(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    k: int,
    beta: float,
    threshold: float,
    second: NDArray[np.int8],
    weights: NDArray[np.float64] | None,
    seed: int,
    progress: Progress | None,
) -> _ShareChoice:
    """Choose the noise share under which expected scores predict a second rater best.

    Args:
        scores: int8 `(N,)`, -1 = unrated.
        neighbors: uint32 `(N, L)`.
        T: float64 `(K, K)`.
        p: float64 `(K,)`.
        k: neighbors heard.
        beta: weight of one neighbor, in (0, 1].
        threshold: least probability at which a score is replaced.
        second: int8 `(N,)`, the second rater's scores on any ordered scale, -1 = unrated.
        weights: float64 `(N,)`, above 0 where the second rater rated; None = all alike.
        seed: of the resamples behind the interval `low` to `high` (90 %).
        progress: called with steps done and all.

    Returns:
        The share, its interval, samples rated by both, and per share the Spearman correlations of
        the expected and the curated scores with the second rater.

    Raises:
        ValueError: if a value is out of range, or no sample is rated by both.
    """

class _AuditFit(TypedDict):
    T: NDArray[np.float64]
    p: NDArray[np.float64]
    gamma: float
    gamma_low: float
    gamma_high: float
    gammas: NDArray[np.float64]
    log_likelihoods: NDArray[np.float64]
    gain: float
    gain_error: float
    rated_equal: float
    rated_kappa: float
    held_out_equal: float
    held_out_kappa: float
    relabels: bool
    effective: float

def fit_audit(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    k: int,
    beta: float,
    threshold: float,
    rows: NDArray[np.uint32],
    gold: NDArray[np.int8],
    weights: NDArray[np.float64],
) -> _AuditFit:
    """Measure the rater and the worth of the neighbors on samples a person scored.

    Args:
        scores: int8 `(N,)`, -1 = unrated.
        neighbors: uint32 `(N, L)`.
        T: float64 `(K, K)`.
        p: float64 `(K,)`.
        k: neighbors heard.
        beta: weight of one neighbor, in (0, 1].
        threshold: least probability at which a score is replaced.
        rows: uint32 `(m,)`, the audited rows, distinct, at least 5.
        gold: int8 `(m,)`, their scores, 0..K-1.
        weights: float64 `(m,)`, above 0.

    Raises:
        ValueError: if a value is out of range, or a row occurs twice.
    """

def curate_audited(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    k: int,
    beta: float,
    audit_T: NDArray[np.float64],
    audit_p: NDArray[np.float64],
    gamma: float,
    threshold: float,
    fill_missing: bool,
    progress: Progress | None,
) -> _Curated:
    """Curate every score by what an audit measured.

    Raises:
        ValueError: if a value is out of range.
    """

def audited_posteriors(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    k: int,
    beta: float,
    audit_T: NDArray[np.float64],
    audit_p: NDArray[np.float64],
    gamma: float,
    rows: NDArray[np.uint32],
) -> NDArray[np.float64]:
    """Posterior of the true score of some rows, `(rows, K)`: what `curate_audited` decides by.

    Raises:
        ValueError: if a value is out of range.
    """

def draw_stratified(
    strata: NDArray[np.int32], importance: NDArray[np.float64], n: int, seed: int
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Draw `n` rows from strata.

    Args:
        strata: int32 `(N,)`, the stratum of each row, -1 = never drawn.
        importance: float64 `(S,)`, above 0, one for each stratum.
        n: rows to draw, at least one for each stratum that occurs.
        seed: of the draw.

    Returns:
        Rows, ascending, and the size of the stratum over the rows drawn from it.

    Raises:
        ValueError: if a value is out of range.
    """

def posteriors(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    T: NDArray[np.float64],
    p: NDArray[np.float64],
    k: int,
    beta: float,
    noise_share: float,
    rows: NDArray[np.uint32],
) -> NDArray[np.float64]:
    """Posterior of the true score of some rows, float64 `(rows, K)`: what `curate` decides by.

    Raises:
        ValueError: if a value is out of range.
    """

def agreement_by_distance(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    similarities: NDArray[np.float32],
    num_classes: int,
) -> _DistanceBins:
    """Measure agreement with the nearest neighbor and chance agreement, by distance.

    Samples are ordered by the distance to their nearest neighbor and cut at 1, 5, 20, 50, 100 %.

    Raises:
        ValueError: if a value is out of range, or similarities are not finite and descending.
    """

def compare_close_fit(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    similarities: NDArray[np.float32],
    num_classes: int,
    prior: str,
    strength: float | None,
) -> _CloseFit:
    """Compare the diagonal of T over all samples and over those with the closest neighbors."""

def bootstrap(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    similarities: NDArray[np.float32],
    num_classes: int,
    k: int,
    prior: str,
    strength: float | None,
    replicates: int,
    seed: int,
) -> _Bootstrap:
    """Find intervals of T, p and the largest possible noise share from resampled blocks.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        neighbors: uint32 `(N, L)`, rows of the most similar other samples, nearest first.
        similarities: float32 `(N, L)`.
        num_classes: K, 2..16.
        k: neighbors counted for T and p, 2..L.
        prior: `ordinal` or `uniform`.
        strength: of the prior of T and p, >= 0; None for the default.
        replicates: at least 1.
        seed: of the draws.

    Returns:
        T `(K, K, 2)`, p `(K, 2)`, each lower and upper end; settled `(K,)`.

    Raises:
        ValueError: if a value is out of range, or no sample could be counted.
    """

def shuffle_test(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    num_classes: int,
    k: int,
    shuffles: int,
    seed: int,
) -> _ShuffleTest:
    """Measure what neighbors know about the ratings and about the same ratings shuffled.

    Raises:
        ValueError: if a value is out of range, or no sample is rated.
    """

# The published method, long-tail score, selection, scales.

class _Consensus(TypedDict):
    c3: NDArray[np.float64]
    truncated: float
    rated: int
    share: float

class _ReferenceFit(TypedDict):
    T: NDArray[np.float64]
    p: NDArray[np.float64]
    loss: float

class _PaperCuration(TypedDict):
    curated: NDArray[np.int8]
    suggested: NDArray[np.int8]
    misrated: NDArray[np.bool_]
    confidence: NDArray[np.float64]

class _ReferenceCuration(_PaperCuration):
    p_misrated: NDArray[np.float64]
    visits: NDArray[np.uint32]
    lists: int
    short_lists: int

def expected_consensus(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    num_classes: int,
    duplicate: bool,
    sample_size: int | None,
) -> _Consensus:
    """Exact expectation of the consensus counts of the published sampling, `(K, K, K)`."""

def fit_transition_reference(c3: NDArray[np.float64]) -> _ReferenceFit:
    """Published fit of T and p to third-order consensus frequencies `(K, K, K)`."""

def curate_reference(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    similarities: NDArray[np.float32],
    transition: NDArray[np.float64],
    prior: NDArray[np.float64],
    duplicate: bool,
    sample_size: int | None,
    rounds: int,
    seed: int,
    threshold: float,
    progress: Callable[[int, int], object] | None,
) -> _ReferenceCuration:
    """Published detection and curation; `progress` is called with rounds."""

def curate_paper(
    scores: NDArray[np.int8],
    neighbors: NDArray[np.uint32],
    similarities: NDArray[np.float32],
    transition: NDArray[np.float64],
    prior: NDArray[np.float64],
    k: int,
    threshold: float,
) -> _PaperCuration:
    """Curation as the paper describes it: flags by rank, `k` neighbors vote."""

def score_longtail(
    similarities: NDArray[np.float32], k: int, definition: str, decimals: int | None
) -> NDArray[np.float64]:
    """Long-tail score `(N,)`; `definition` is "paper" or "reference"; high = rare."""

def rank_samples(
    curated: NDArray[np.int8],
    expected: NDArray[np.float64],
    longtail: NDArray[np.float64],
    preset: str,
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float64]]:
    """Eligible rows best first, rows set aside, buckets; `preset` is "default" or "paper"."""

def published_order(
    curated: NDArray[np.int8], longtail: NDArray[np.float64], n: int
) -> NDArray[np.uint32]:
    """The `n` rows the published code chooses, in its order."""

def drop_duplicates(
    order: NDArray[np.uint32],
    neighbors: NDArray[np.uint32],
    similarities: NDArray[np.float32],
    threshold: float,
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32], int]:
    """Drop ranked rows that are near a better-ranked kept one in the graph.

    Returns:
        rows kept, rows dropped, the kept row that stands for each dropped one; how many ranked rows
        have no neighbor below the threshold, so that the graph may lack pairs of theirs.
    """

def choose_centers(
    embeddings: NDArray[np.float32] | NDArray[np.float16],
    chosen: NDArray[np.uint32],
    candidates: NDArray[np.uint32],
    groups: NDArray[np.uint32],
    seats: list[int],
    allow_zero: bool,
    threads: int | None,
    progress: Callable[[int, int], object] | None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Choose the candidates farthest from all that is chosen, ties by place, `seats` per group.

    Returns:
        the rows in the order of choice; the similarity of each to the nearest chosen before it.
    """

def compress_ratings(ratings: NDArray[np.float64]) -> NDArray[np.int8]:
    """Published compression of ratings 0..10 to scores 0..5; NaN becomes -1."""

# Answers of a rating model.

def parse_answer(
    text: str, names: list[str], low: float, high: float
) -> tuple[list[float] | None, str | None]:
    """Ratings of an answer in the order of `names`, each in low..high; or None and the reason.

    Raises:
        ValueError: if the names cannot be told apart, or not low < high.
    """

def locate_overall(text: str, names: list[str], low: float, high: float) -> tuple[int, int] | None:
    """Where the last of `names` has its number in a readable answer, as a range of UTF-8 bytes.

    Raises:
        ValueError: if the names cannot be told apart, or not low < high.
    """

# The requests and the journal of a rating run.

def plain_keys(
    conversations: list[Any], head: bytes, turn: str, user: str, max_bytes: int
) -> list[tuple[str, int] | None]:
    """Key and bytes of the user message of every plain conversation, None for all others.

    Plain is a list of (role, content) that is sent as it is: within `max_bytes`, nothing in it that
    looks like structure. The key is `hex(blake2b-128(head | message))`; `turn` has the slots
    `{role}` and `{content}`, `user` has `{sample}` and `{tag}`, `hex(blake2b-32(sample))`.
    """

_Fields = tuple[
    tuple[float, ...] | None, str | None, bool, bool, str, tuple[int, int, int], bytes | None
]

def read_records(data: bytes) -> list[tuple[str, float | None, _Fields] | bytes]:
    """Every line of `data` that is not empty, in order.

    A record in the form it is written in is `(key, cost, (ratings, why, final, half, model, usage,
    chances))`, the probabilities as the bytes of float32; any other line is its bytes.
    """

# The lexical space.

class _LexicalFit(TypedDict):
    terms: int
    sampled: int
    unknown: NDArray[np.uint32]
    singular_values: NDArray[np.float64]

def lexical_embed(
    texts: list[str],
    dim: int,
    seed: int,
    threads: int | None,
    progress: Callable[[int, int], object] | None,
) -> tuple[NDArray[np.float32], _LexicalFit]:
    """Place texts in the TF-IDF + SVD space fitted on them; the strings are not copied.

    Args:
        texts: the text of each of N samples.
        dim: columns, at least 1.
        seed: of the random projection, in [0, 2^64).
        threads: threads to use, at least 1; None = one per core. The result does not depend on it.
        progress: called with rows done and N; what it raises stops the work.

    Returns:
        float32 `(N, dim)`, unit rows, zero for the rows `unknown`; and what is known of the fit.
    """

def lexical_place(
    others: list[str],
    texts: list[str],
    dim: int,
    seed: int,
    threads: int | None,
    progress: Callable[[int, int], object] | None,
) -> NDArray[np.float32]:
    """Place other texts in the space that `lexical_embed` fits on `texts`.

    Args:
        others: the m texts to place.
        texts: those that the space is fitted on, and the rest as for `lexical_embed`.
        dim: columns, at least 1.
        seed: of the random projection, in [0, 2^64).
        threads: threads to use, at least 1; None = one per core. The result does not depend on it.
        progress: called with rows of `texts` done and N; what it raises stops the work.

    Returns:
        float32 `(m, dim)`, unit rows, zero for a text without a term of the space.
    """

def gram(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum the products of all columns: the upper triangle of `X^T X`.

    Args:
        rows: float32 `(n, d)`, finite.

    Returns:
        float64 `(d, d)`, zero below the diagonal; the same bits for any number of threads.

    Raises:
        ValueError: if a value is not finite.

    O(n d^2).
    """

def solve_ridge(gram: NDArray[np.float64], penalty: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the weights `w` that minimize `sum (y - x w)^2 + sum penalty_j w_j^2`.

    Args:
        gram: float64 `(d + 1, d + 1)`, sums of products of the columns of x and y, y last, as
            `gram` makes them.
        penalty: float64 `(d,)`, 0 or more; 0 for the constant column.

    Returns:
        float64 `(d,)`.

    Raises:
        ValueError: if the shapes do not fit, a penalty is out of range, or a column that is not
            shrunk depends on others.

    O(d^3).
    """

def apply_weights(rows: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply rows by weights: `X w`.

    Args:
        rows: float32 `(n, d)`.
        weights: float64 `(d,)`.

    Returns:
        float64 `(n,)`; the same bits for any number of threads.

    Raises:
        ValueError: if the shapes do not fit.

    O(n d).
    """

# strategies

_Embeddings = NDArray[np.float32] | NDArray[np.float16]

def keep_apart(
    embeddings: _Embeddings,
    order: NDArray[np.uint32],
    threshold: float,
    most: int,
    allow_zero: bool,
    threads: int | None,
    progress: Progress | None,
) -> tuple[NDArray[np.uint32], int]:
    """Keep the ranked rows whose similarity to every row kept before is at most the threshold.

    Args:
        embeddings: float32 or float16 `(N, d)`, finite.
        order: uint32 `(m,)`, distinct rows, best first.
        threshold: cosine similarity in [-1, 1], as float32; 1 keeps every row.
        most: rows to keep at most, at least 1.
        allow_zero: accept rows of zeros, which are similar to every row by 0.
        threads: at least 1; None = one per core. The result does not depend on it.
        progress: called with ranked rows decided and m.

    Returns:
        uint32, the rows kept, best first; how many ranked rows were looked at.

    Raises:
        ValueError: if a value is out of range or not finite, or a row unknown, repeated or zero.
    """

def cover(
    embeddings: _Embeddings,
    chosen: NDArray[np.uint32],
    allow_zero: bool,
    threads: int | None,
    progress: Progress | None,
) -> NDArray[np.float32]:
    """Tell how near every row lies to the nearest chosen one.

    Args:
        embeddings: float32 or float16 `(N, d)`, finite.
        chosen: uint32 `(m,)`, distinct rows, at least one.
        allow_zero: accept rows of zeros, which are similar to every row by 0.
        threads: at least 1; None = one per core. The result does not depend on it.
        progress: called with rows done and N.

    Returns:
        float32 `(N,)`, cosine similarities; 1 for a chosen row.

    Raises:
        ValueError: if a value is out of range or not finite, or a row unknown, repeated or zero.

    `N m d` multiply-adds.
    """

def choose_marginal(
    embeddings: _Embeddings,
    chosen: NDArray[np.uint32],
    candidates: NDArray[np.uint32],
    scores: NDArray[np.float64],
    weight: float,
    n: int,
    allow_zero: bool,
    threads: int | None,
    progress: Progress | None,
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Choose by maximal marginal relevance: `weight score - (1 - weight) nearest similarity`.

    Args:
        embeddings: as of `keep_apart`.
        chosen: uint32 `(c,)`, rows chosen already.
        candidates: uint32 `(m,)`, rows to choose from; ties go by place among them.
        scores: float64 `(m,)`, one for each candidate.
        weight: of the score, in [0, 1].
        n: rows to choose, 1..m.
        allow_zero: as of `keep_apart`.
        threads: as of `keep_apart`.
        progress: called with rows chosen and n.

    Returns:
        uint32 `(n,)` in the order of choice, float64 `(n,)` the value of each when it was chosen.

    Raises:
        ValueError: as of `keep_apart`.
    """

def locate_facilities(
    neighbors: NDArray[np.uint32],
    similarities: NDArray[np.float32],
    k: int,
    candidates: NDArray[np.uint32],
    scores: NDArray[np.float64],
    n: int,
    progress: Progress | None,
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Choose rows that cover the neighbor graph: lazy greedy facility location plus scores.

    Args:
        neighbors: uint32 `(N, L)`.
        similarities: float32 `(N, L)`.
        k: neighbors used, 1..L.
        candidates: uint32 `(m,)`, rows to choose from; ties go by place among them.
        scores: float64 `(m,)`, added to the gain of each candidate.
        n: rows to choose, 1..m.
        progress: called with rows chosen and n.

    Returns:
        uint32 `(n,)` in the order of choice, float64 `(n,)` what each added.

    Raises:
        ValueError: if a value is out of range, or the graph is none.
    """

def divide_bins(
    embeddings: _Embeddings,
    candidates: NDArray[np.uint32],
    bins: int,
    penalty: float,
    allow_zero: bool,
    threads: int | None,
    progress: Progress | None,
) -> list[NDArray[np.uint32]]:
    """Divide candidates into bins by graph cut, from the most typical to the rest.

    Args:
        embeddings: as of `keep_apart`.
        candidates: uint32 `(m,)`; ties go by place among them.
        bins: 1..m.
        penalty: weight of the similarity to what the bin holds, at least 0.
        allow_zero: as of `keep_apart`.
        threads: as of `keep_apart`.
        progress: called with candidates in bins and m.

    Returns:
        One uint32 array a bin, in the order of choice; the last in the order of the candidates.

    Raises:
        ValueError: as of `keep_apart`.
    """

def cut_graph(
    embeddings: _Embeddings,
    candidates: NDArray[np.uint32],
    n: int,
    penalty: float,
    allow_zero: bool,
    threads: int | None,
    progress: Progress | None,
) -> NDArray[np.uint32]:
    """Choose the first `n` candidates by graph cut; arguments as of `divide_bins`."""

def draw_tempered(
    candidates: NDArray[np.uint32],
    scores: NDArray[np.float64],
    temperature: float,
    n: int,
    seed: int,
) -> NDArray[np.uint32]:
    """Draw `n` candidates without replacement in proportion to `exp(score / temperature)`.

    Args:
        candidates: uint32 `(m,)`.
        scores: float64 `(m,)`, finite.
        temperature: above 0.
        n: 1..m.
        seed: of the draw; what is drawn for a row depends on it and the row alone.

    Returns:
        uint32 `(n,)` in the order of the draw.

    Raises:
        ValueError: if a value is out of range.
    """

def weigh_importance(
    texts: list[str],
    target: list[str],
    buckets: int,
    smoothing: float,
    threads: int | None,
    progress: Progress | None,
) -> NDArray[np.float64]:
    """Weigh texts by how much likelier their words and pairs are in the target than in the pool.

    Args:
        texts: the pool, N texts.
        target: at least one text.
        buckets: that words and pairs are hashed into, at least 1.
        smoothing: added to the share of every bucket, above 0.
        threads: at least 1; None = one per core.
        progress: called with texts read and 2 N.

    Returns:
        float64 `(N,)`, log-weights.

    Raises:
        ValueError: if a value is out of range, or a text has a lone surrogate.
        TypeError: if a text is none.
    """

def grow_tree(
    embeddings: _Embeddings,
    branching: int,
    leaf: int,
    rounds: int,
    seed: int,
    allow_zero: bool,
    threads: int | None,
    progress: Progress | None,
) -> NDArray[np.uint32]:
    """Sort rows into the leaves of a tree of spherical k-means.

    Args:
        embeddings: as of `keep_apart`.
        branching: children of a node, at least 2.
        leaf: rows a leaf holds at most.
        rounds: of k-means a split.
        seed: of the rows that k-means starts from.
        allow_zero: as of `keep_apart`.
        threads: as of `keep_apart`.
        progress: called with rows in leaves and N.

    Returns:
        uint32 `(N,)`, the leaf of each row, from 0; near leaves have near numbers.

    Raises:
        ValueError: as of `keep_apart`.
    """
