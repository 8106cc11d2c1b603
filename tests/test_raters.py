"""Several raters: combined, compared, and through the whole line."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ds2_fast
from ds2_fast.agreement import agree, spearman
from ds2_fast.cli import main
from ds2_fast.errors import PoolError
from ds2_fast.raters import Rater, combine, compare_pairs, find_worth
from reference import kappa_slow, spearman_slow
from synthetic import RATERS, draw_ratings, make_pool

SCORES = st.lists(
    st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=2, max_size=40
).filter(lambda pairs: any(a >= 0 and b >= 0 for a, b in pairs))


def rater(name, scores, expected=None, num_classes=6):
    scores = np.array(scores, dtype=np.int8)
    expected = scores if expected is None else expected
    return Rater(name, scores, np.array(expected, dtype=np.float64), num_classes)


@given(SCORES)
def test_agreement_equals_its_slow_twin(pairs):
    first, second = (np.array(column, dtype=np.int8) for column in zip(*pairs, strict=True))
    found = agree(first, second, same_scale=True)
    both = [(a, b) for a, b in pairs if a >= 0 and b >= 0]
    assert found.samples == len(both)
    assert found.exact == pytest.approx(sum(a == b for a, b in both) / len(both))
    assert found.within_one == pytest.approx(sum(abs(a - b) < 2 for a, b in both) / len(both))
    for power, kappa in ((0, found.kappa), (2, found.kappa_quadratic)):
        assert kappa == pytest.approx(kappa_slow(both, power), nan_ok=True)
    slow = spearman_slow(*([float(pair[i]) for pair in both] for i in (0, 1)))
    assert found.spearman == pytest.approx(slow, nan_ok=True)


def test_different_scales_are_compared_by_rank_alone():
    found = agree(np.array([0, 1, 2], np.int8), np.array([3, 6, 9], np.int8), same_scale=False)
    assert found.spearman == pytest.approx(1)
    assert all(math.isnan(n) for n in (found.exact, found.within_one, found.kappa))
    assert found.to_dict()["kappa"] is None


def test_what_is_unknown_takes_no_part_in_a_correlation():
    x, y = np.array([1.0, np.nan, 2.0, 3.0]), np.array([3.0, 5.0, np.nan, 1.0])
    assert spearman(x, y) == pytest.approx(-1)
    assert math.isnan(spearman(x, np.full(4, 2.0)))


def test_raters_of_equal_mean_and_spread_are_averaged():
    found = combine([rater("a", [0, 1, 2, 3]), rater("b", [3, 2, 0, 1])])
    assert found.expected == pytest.approx([1.5, 1.5, 1.0, 2.0])
    assert found.curated.tolist() == [1, 1, 1, 2]  # halves go down
    assert found.raters.tolist() == [2, 2, 2, 2]


def test_a_generous_rater_weighs_no_more_than_a_strict_one():
    """z of (0, 1, 2) and of (3, 3, 5) is (-1.22, 0, 1.22) and (-.71, -.71, 1.41)."""
    found = combine([rater("a", [0, 1, 2]), rater("b", [3, 3, 5])])
    low, high = math.sqrt(1.5), math.sqrt(0.5)
    z = np.array([-low - high, -high, low + 2 * high]) / 2
    spread = (math.sqrt(2 / 3) + math.sqrt(8 / 9)) / 2
    assert found.expected == pytest.approx((1 + 11 / 3) / 2 + spread * z)


def test_the_order_is_that_of_the_standardized_means():
    rng = np.random.default_rng(5)
    columns = [rng.normal(size=200) * (1 + i) + i for i in range(3)]
    raters = [rater(str(i), rng.integers(0, 6, 200), column) for i, column in enumerate(columns)]
    z = np.mean([(column - column.mean()) / column.std() for column in columns], axis=0)
    assert np.argsort(combine(raters).expected).tolist() == np.argsort(z).tolist()


def test_who_did_not_rate_takes_no_part_in_a_sample():
    found = combine([rater("a", [0, 1, 2, -1, -1]), rater("b", [0, -1, 2, 1, -1], [0, 9, 2, 1, 9])])
    assert found.expected[:4] == pytest.approx([0, 1, 2, 1])
    assert math.isnan(found.expected[4])
    assert found.curated.tolist() == [0, 1, 2, 1, -1]
    assert found.rated.tolist() == [0, 1, 2, 1, -1]
    assert found.raters.tolist() == [2, 1, 2, 1, 0]


def test_the_scale_is_that_of_the_raters_with_most_classes():
    found = combine([rater("a", [0, 2, 4], num_classes=5), rater("b", [0, 1, 2], num_classes=3)])
    assert found.expected == pytest.approx([0, 2, 4])
    assert found.num_classes == 5


def test_a_rater_who_gives_one_score_cannot_be_combined():
    with pytest.raises(PoolError, match="all scores of `b` are the same"):
        combine([rater("a", [0, 1, 2]), rater("b", [1, 1, 1])])


def test_what_a_rater_is_worth():
    """Two raters see the truth through noise; one guesses."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 6, 4000)
    good = [
        rater(name, np.clip(np.rint(truth + rng.normal(0, 1, 4000)), 0, 5), truth) for name in "ab"
    ]
    worth = find_worth([*good, rater("guess", rng.integers(0, 6, 4000))])
    assert worth[0].adds > 0.1
    assert worth[1].adds > 0.1
    assert worth[2].adds < -0.1
    assert worth[2].raw == pytest.approx(0, abs=0.05)
    assert worth[2].without > 0.8  # the ranking hardly needs it
    alone = find_worth(good)
    assert alone[0].predicted == pytest.approx(spearman(good[0].raw(), truth.astype(float)))
    assert math.isnan(alone[0].adds)
    pairs = compare_pairs([*good, rater("guess", rng.integers(0, 6, 4000))])
    assert [pair.raters for pair in pairs] == [("a", "b"), ("a", "guess"), ("b", "guess")]
    assert pairs[0].spearman_curated == pytest.approx(1)


COLUMNS = ("first", "second", "third")


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """A pool of known truth whose samples three raters rated; the second missed one in ten."""
    folder = tmp_path_factory.mktemp("rated")
    pool, rng = make_pool(2000, "diag"), np.random.default_rng(1)
    columns = {"first": pl.Series(pool.scores)}
    for name, kind in (("second", "up"), ("third", "mid")):
        columns[name] = pl.Series(draw_ratings(pool.truth, RATERS[kind], rng))
    frame = pl.DataFrame(
        {"text": [f"sample {row}" for row in range(2000)], **columns, "truth": pool.truth}
    )
    unrated = pl.when(pl.int_range(pl.len()) % 10 == 3).then(None).otherwise("second")
    frame.with_columns(unrated.alias("second")).write_parquet(folder / "pool.parquet")
    np.save(folder / "rows.npy", pool.embeddings)
    return folder, pool.truth


def arguments(folder, *columns):
    options = [part for column in columns for part in ("--score-col", column)]
    return [str(folder / "pool.parquet"), "--embeddings", str(folder / "rows.npy"), *options]


def test_several_raters_are_selected_by_their_common_score(rated, tmp_path, capsys):
    folder, truth = rated
    run = tmp_path / "run"
    code = main(
        ["select", *arguments(folder, *COLUMNS), "-n", "200", "--run-dir", str(run), "--json"]
    )
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert code == 0
    assert "found 50 neighbors" in err
    assert "200 samples lack some" in " ".join(err.split())
    assert report["partly_rated"] == 200
    assert [part["rater"] for part in report["raters"]] == list(COLUMNS)
    assert report["settings"]["score_col"] == list(COLUMNS)
    sheet = pl.read_parquet(run / "scores.parquet")
    expected = sheet["ds2_score_expected"].to_numpy()
    own = [
        spearman(sheet[f"ds2_score_expected_{name}"].to_numpy(), truth.astype(float))
        for name in COLUMNS
    ]
    assert spearman(expected, truth.astype(float)) > max(own)
    assert sheet["ds2_raters"].to_list().count(2) == 200
    assert sheet["ds2_score"].null_count() == 0
    # The dual sort: buckets of a quarter, then rarity.
    chosen = sheet.filter(pl.col("ds2_selected")).sort("ds2_rank")
    bucket = (chosen["ds2_score_expected"] / 0.25 + 1e-9).floor()
    assert bucket.is_sorted(descending=True)
    inside = pl.DataFrame({"bucket": bucket, "rarity": chosen["ds2_long_tail"]})
    assert inside.equals(inside.sort("bucket", "rarity", descending=True))
    assert main(["report", str(run)]) == 0
    printed = capsys.readouterr()[0]
    for words in ("Selected 200 of 2,000", "What each is worth", "first and second", "quadratic"):
        assert words in printed


def test_each_rater_is_curated_as_if_alone(rated, tmp_path, capsys):
    folder, _ = rated
    for column in COLUMNS:
        alone = [*arguments(folder, column), "--run-dir", str(tmp_path / column)]
        assert main(["curate", *alone]) == 0
    both = [*arguments(folder, *COLUMNS), "--run-dir", str(tmp_path / "run")]
    assert main(["curate", *both]) == 0
    for number, column in enumerate(COLUMNS, 1):
        own = pl.read_parquet(tmp_path / column / "curated.parquet")
        assert own.equals(pl.read_parquet(tmp_path / "run" / f"curated-{number}.parquet"))
    capsys.readouterr()


def test_the_run_of_one_rater_does_not_depend_on_how_it_is_named(rated, tmp_path):
    folder, _ = rated
    options = {"embeddings": folder / "rows.npy", "html": False}
    runs = []
    for name, column in (("a", "first"), ("b", ["first"])):
        ds2_fast.select(
            folder / "pool.parquet", 50, score_col=column, run_dir=tmp_path / name, **options
        )
        names = ("scores.parquet", "report.json", "selection.json", "transition.json")
        runs.append([(tmp_path / name / file).read_bytes() for file in names])
    assert runs[0] == runs[1]


def test_raters_compare_tells_what_select_would_use(rated, tmp_path, capsys):
    folder, _ = rated
    run = ["--run-dir", str(tmp_path / "run")]
    compare = ["raters", "compare", *arguments(folder, *COLUMNS), *run]
    assert main([*compare, "--json"]) == 0
    out, _ = capsys.readouterr()
    told = json.loads(out)
    assert [pair["samples"] for pair in told["agreement"]] == [1800, 2000, 1800]
    assert np.array(told["raters"][1]["transition"]["T"]).shape == (6, 6)
    assert all(part["adds"] is not None for part in told["raters"])
    assert not (tmp_path / "run" / "scores.parquet").exists()
    assert main(["select", *arguments(folder, *COLUMNS), *run, "-n", "50", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (
        err.count("(reused)") == 13
    )  # the graph, the long tail, the map, the combination, 3 x 3 stages
    report = json.loads(out)
    assert {name: report[name] for name in told} == told
    assert main(compare) == 0
    assert "What each is worth" in capsys.readouterr()[0]


def test_comparing_in_python(rated, tmp_path):
    folder, _ = rated
    found = ds2_fast.compare_raters(
        folder / "pool.parquet",
        ["first", "third"],
        embeddings=folder / "rows.npy",
        run_dir=tmp_path / "run",
    )
    assert found.names == ("first", "third")
    assert found.pairs[0].agreement.samples == 2000
    assert [math.isnan(worth.adds) for worth in found.worth] == [True, True]
    assert found.transitions[1].T.shape == (6, 6)


@pytest.mark.parametrize(
    ("columns", "refusal"),
    [
        (("first",), (2, "name two raters or more")),
        (("first", "first"), (3, "`first` is named twice")),
        (("first", "nothing"), (3, "the pool has no column `nothing`")),
    ],
)
def test_raters_that_cannot_be_compared(rated, tmp_path, capsys, columns, refusal):
    folder, _ = rated
    run = ["--run-dir", str(tmp_path / "run")]
    code, words = refusal
    assert main(["raters", "compare", *arguments(folder, *columns), *run]) == code
    assert words in capsys.readouterr()[1]


def test_strict_names_the_rater_that_is_not_trusted(rated, tmp_path, capsys):
    folder, _ = rated
    frame = pl.read_parquet(folder / "pool.parquet")
    noise = pl.Series("noise", np.random.default_rng(3).integers(0, 6, len(frame)))
    frame.with_columns(noise).write_parquet(tmp_path / "pool.parquet")
    rows = [
        "--embeddings",
        str(folder / "rows.npy"),
        "--score-col",
        "first",
        "--score-col",
        "noise",
    ]
    code = main(["select", str(tmp_path / "pool.parquet"), *rows, "-n", "50", "--strict"])
    assert code == 6
    said = " ".join(capsys.readouterr()[1].split())
    assert "`noise`: neighbors know no more about these ratings" in said
