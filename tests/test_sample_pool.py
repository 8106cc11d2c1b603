"""The sample pool in `examples/` is what its README says: whole, reproducible, honest."""

import builtins
import json
import math
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
TEXT_COLUMNS = ["instruction", "input", "output"]


@pytest.fixture(scope="module")
def maker():
    """The maker script as a module; it finds `sample_writer` beside itself."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import make_sample_pool
    finally:
        sys.path.remove(str(EXAMPLES))
    return make_sample_pool


@pytest.fixture(scope="module")
def seeds(maker):
    return maker.load_seeds()


@pytest.fixture(scope="module")
def pool():
    return pl.read_parquet(EXAMPLES / "sample_pool.parquet")


@pytest.fixture(scope="module")
def texts(pool):
    rows = pool.select(TEXT_COLUMNS).iter_rows()
    return ["\n".join(part for part in row if part) for row in rows]


def raw_seeds():
    """Every seed as written, with its `check` and the defaults of its file."""
    import tomllib

    for path in sorted((EXAMPLES / "seeds").glob("*.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for entry in document["seed"]:
            yield {**{k: v for k, v in document.items() if k != "seed"}, **entry}


def test_pool_has_the_promised_shape(pool, maker, texts):
    assert pool.schema == {
        "id": pl.String,
        "instruction": pl.String,
        "input": pl.String,
        "output": pl.String,
        "topic": pl.String,
        "rating": pl.Int8,
        "truth": pl.Int8,
    }
    assert pool.height == maker.NUM_GROUPS * maker.GROUP_SIZE
    assert pool["id"].n_unique() == pool.height
    assert pool.null_count().sum_horizontal().item() == 0
    assert len(set(texts)) == pool.height, "no sample is the copy of another"
    assert (EXAMPLES / "sample_pool.parquet").stat().st_size < 2**20


def test_groups_are_many_and_of_one_size(pool, maker):
    groups = pool.group_by("topic", "truth").len()
    assert groups.height == maker.NUM_GROUPS >= 150
    assert set(groups["len"]) == {maker.GROUP_SIZE}


def test_all_classes_follow_the_prior(pool, maker):
    assert math.isclose(sum(maker.PRIOR), 1)
    shares = np.bincount(pool["truth"], minlength=6) / pool.height
    # Whole groups are dealt by largest remainder: each share is off by less than one group.
    assert np.abs(shares - maker.PRIOR).max() < 1 / maker.NUM_GROUPS


def test_the_maker_reproduces_the_pool_row_for_row(pool, maker):
    assert maker.make_pool().equals(pool)


def test_the_truth_file_describes_the_pool(pool, maker):
    written = json.loads((EXAMPLES / "sample_pool_truth.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(maker.describe(pool)))
    assert np.sum(written["ratings_per_quality"]) == pool.height


def pearson(drawn, transition):
    """Pearson's statistic over all rows, with its exact mean and variance under `transition`.

    For one multinomial of n draws over K cells with probabilities p the mean is K - 1 and the
    variance 2(K - 1) + (sum 1/p - K^2 - 2K + 2) / n (Haldane, 1937); rows are independent.
    """
    sizes, transition = drawn.sum(axis=1), np.asarray(transition)
    num_classes = drawn.shape[1]
    expected = sizes[:, None] * transition
    statistic = ((drawn - expected) ** 2 / expected).sum()
    inverse = (1 / transition).sum(axis=1)
    excess = (inverse - num_classes**2 - 2 * num_classes + 2) / sizes
    return statistic, len(sizes) * (num_classes - 1), (2 * (num_classes - 1) + excess).sum()


def drawn_ratings(pool):
    drawn = np.zeros((6, 6))
    np.add.at(drawn, (pool["truth"].to_numpy(), pool["rating"].to_numpy()), 1)
    return drawn


def test_ratings_follow_the_transition_matrix(pool, maker):
    assert np.allclose(np.sum(maker.TRANSITION, axis=1), 1)
    statistic, mean, variance = pearson(drawn_ratings(pool), maker.TRANSITION)
    # Cantelli: P(X - mean >= c sd) <= 1 / (1 + c^2), which is 0.01 for c = sqrt(99). It holds for
    # every distribution, so cells with an expected count near 1 do no harm.
    assert statistic < mean + math.sqrt(99 * variance)


@pytest.mark.parametrize("wrong", ["transposed", "identity", "uniform", "shifted"])
def test_the_bound_tells_other_matrices_apart(pool, maker, wrong):
    transition = np.array(maker.TRANSITION)
    other = {
        "transposed": transition.T / transition.sum(axis=0)[:, None],
        "identity": np.where(np.eye(6) > 0, 0.95, 0.01),
        "uniform": np.full((6, 6), 1 / 6),
        "shifted": np.roll(transition, 1, axis=0),
    }[wrong]
    statistic, mean, variance = pearson(drawn_ratings(pool), other)
    assert statistic > mean + math.sqrt(99 * variance)


def test_the_text_does_not_name_its_quality(texts):
    naming = re.compile(r"\b(quality|truth|rating|score|label|class)\W{0,3}(of )?[0-5]\b", re.I)
    assert [text for text in texts if naming.search(text)] == []


def test_openings_and_closings_belong_to_no_single_quality(pool, maker):
    english = maker.load_phrases()["en"]
    for phrase in {*english["openings"], *english["closings"]} - {""}:
        marked = pool.filter(
            pl.col("output").str.starts_with(phrase) | pl.col("output").str.ends_with(phrase)
        )
        assert marked["truth"].n_unique() >= 3, phrase


def test_the_order_of_rows_tells_nothing(pool):
    truth = pool["truth"].to_numpy().astype(float)
    correlation = np.corrcoef(np.arange(pool.height), truth)[0, 1]
    # Under a random order sqrt(N - 1) r has mean 0 and variance 1, exactly.
    assert abs(correlation) * math.sqrt(pool.height - 1) < 4
    assert pool["id"].to_list() == [f"sample-{n:04d}" for n in range(1, pool.height + 1)]


def test_the_quality_shows_in_the_answer(pool, maker, seeds):
    by_topic = {}
    for seed in seeds:
        by_topic.setdefault(seed.topic, []).extend((seed, row) for row in seed.rows)
    for topic, truth, output in pool.select("topic", "truth", "output").iter_rows():
        versions = by_topic[topic]
        whole = [s for s, row in versions if maker.fill(s.body, row) in output]
        assert bool(whole) == (truth >= 4), (topic, truth, output)
        if truth == 3:
            assert any(maker.fill(s.short, row) in output for s, row in versions)
        if truth <= 2:
            assert not any(maker.fill(s.short, row) in output for s, row in versions)
        if truth == 5:
            assert any(
                all(maker.fill(text, row) in output for text in s.more) for s, row in versions
            )


def test_seeds_are_many_and_whole(seeds):
    assert len(seeds) >= 250
    asks = [ask for seed in seeds for ask in seed.ask]
    assert len({(ask, seed.input, seed.lang) for seed in seeds for ask in seed.ask}) == len(asks)
    assert len({seed.area for seed in seeds}) >= 30
    for seed in seeds:
        assert len(seed.ask) == 2
        assert all(ask[0].islower() and not ask.endswith(".") for ask in seed.ask), seed.ask
        assert seed.body.strip()
        assert len(seed.more) >= 2
        text = "".join([*seed.ask, seed.noun, seed.short, seed.body, *seed.more, seed.input])
        marks = set(re.findall(r"<<(\w+)>>", text))
        assert all(marks <= set(row) for row in seed.rows), seed.topic


@pytest.mark.parametrize(
    "seed", [s for s in raw_seeds() if "rows" in s and "check" in s], ids=lambda s: s["topic"]
)
def test_slot_values_are_right(seed):
    for row in seed["rows"]:
        assert not set(row) & set(dir(builtins))
        assert eval(seed["check"], {"prod": math.prod, **row}), row


def python_blocks(seed):
    return "\n".join(re.findall(r"```python\n(.*?)```", seed["body"], re.S))


@pytest.mark.parametrize(
    "seed",
    [s for s in raw_seeds() if python_blocks(s) and "rows" not in s],
    ids=lambda s: s["topic"],
)
def test_python_answers_run(seed):
    exec(python_blocks(seed) + seed.get("check", ""), {})


def tf_idf(texts):
    """Plain TF-IDF rows of unit length: (1 + log count) * log(N / documents)."""
    counts = [Counter(re.findall(r"\w+", text.lower())) for text in texts]
    tokens = {token: column for column, token in enumerate(sorted(set().union(*counts)))}
    weights = np.zeros((len(texts), len(tokens)), dtype=np.float32)
    for row, count in enumerate(counts):
        for token, times in count.items():
            weights[row, tokens[token]] = 1 + math.log(times)
    weights *= np.log(len(texts) / (weights > 0).sum(axis=0))
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def test_near_neighbors_share_the_true_quality(pool, texts):
    rows = tf_idf(texts)
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :10]
    truth = pool["truth"].to_numpy()
    agree = truth[nearest] == truth[:, None]
    assert (agree.sum(axis=1) > 5).mean() >= 0.9
    assert agree[:, 0].mean() >= 0.98
