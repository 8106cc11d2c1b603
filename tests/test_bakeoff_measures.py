"""Measures of subsets, by hand and against plain numpy; intervals; the last number of a command."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ds2_fast.bakeoff.commands import last_number, split_command
from ds2_fast.bakeoff.intervals import difference, over_seeds
from ds2_fast.bakeoff.measures import (
    count_near,
    measure_coverage,
    share_in_common,
    total_variation,
    vendi_score,
)
from ds2_fast.errors import PoolError


def directions(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def rows_of(*values):
    return np.array(values, dtype=np.uint32)


# coverage


def test_coverage_by_hand():
    rows = directions(0, 60, 90, 180)
    mean, most = measure_coverage(rows, rows_of(0))
    # 1 - cos of 0, 60, 90 and 180 degrees.
    assert mean == pytest.approx((0 + 0.5 + 1 + 2) / 4, abs=1e-6)
    assert most == pytest.approx(2, abs=1e-6)
    mean, most = measure_coverage(rows, rows_of(3, 1))
    assert mean == pytest.approx((0.5 + 0 + (1 - np.sqrt(3) / 2) + 0) / 4, abs=1e-6)
    assert most == pytest.approx(0.5, abs=1e-6)
    assert measure_coverage(rows, rows_of(0, 1, 2, 3)) == (0, 0)


floats = hnp.arrays(
    np.float32, st.tuples(st.integers(2, 90), st.integers(1, 12)),
    elements=st.floats(-4, 4, width=16),
)  # fmt: skip


def cosines(rows):
    wide = rows.astype(np.float64)
    length = np.sqrt((wide**2).sum(axis=1, keepdims=True))
    unit = np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)
    return unit @ unit.T


@given(floats, st.randoms())
def test_coverage_is_the_plain_one_in_either_precision_and_on_any_threads(rows, random):
    chosen = rows_of(*random.sample(range(len(rows)), random.randint(1, len(rows))))
    nearest = cosines(rows)[:, chosen].max(axis=1)
    expected = (1 - nearest).mean(), (1 - nearest).max()
    for threads in (1, 3):
        found = measure_coverage(rows, chosen, allow_zero=True, threads=threads)
        assert found == pytest.approx(expected, abs=1e-6)
        assert found == measure_coverage(rows, chosen, allow_zero=True)
    halves = rows.astype(np.float16)
    assert measure_coverage(halves, chosen, allow_zero=True) == pytest.approx(expected, abs=1e-6)


def test_coverage_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        measure_coverage(directions(0), rows_of())
    with pytest.raises(ValueError, match="is no row"):
        measure_coverage(directions(0), rows_of(1))


# diversity


def test_the_vendi_score_counts_what_is_different():
    assert vendi_score(np.eye(5, dtype=np.float32)) == 5
    assert vendi_score(np.ones((7, 3), dtype=np.float16)) == 1
    assert vendi_score(np.array([[3, 0], [0, 0.5]], np.float32)) == 2
    # Two of one kind, one of another: shares 2/3 and 1/3.
    expected = np.exp(-(2 / 3) * np.log(2 / 3) - (1 / 3) * np.log(1 / 3))
    assert vendi_score(np.eye(2, dtype=np.float32)[[0, 0, 1]]) == pytest.approx(expected)
    assert vendi_score(np.zeros((3, 2), np.float32)) == 3


@given(floats)
def test_the_vendi_score_is_that_of_the_matrix_of_all_pairs(rows):
    kernel = cosines(rows)
    np.fill_diagonal(kernel, 1)
    values = np.linalg.eigvalsh(kernel / len(rows))
    values = values[values > 1e-12]
    expected = np.exp(-(values * np.log(values)).sum())
    assert vendi_score(rows) == pytest.approx(expected, rel=1e-3)


def test_near_duplicates_are_counted_on_both_sides():
    # cos 18 = 0.951, cos 19 = 0.946.
    assert count_near(directions(0, 18, 37, 90)) == 2
    assert count_near(directions(0, 18, 36, 90)) == 3
    assert count_near(directions(0)) == 0
    assert count_near(np.zeros((2, 2), np.float32), allow_zero=True) == 0


@given(floats)
def test_near_duplicates_are_the_plain_ones(rows):
    alike = cosines(rows)
    np.fill_diagonal(alike, -1)
    most = alike.max(axis=1)
    found = count_near(rows, allow_zero=True)
    assert (most >= 0.95 + 1e-6).sum() <= found <= (most >= 0.95 - 1e-6).sum()


# shares


def test_total_variation_by_hand():
    groups = [
        {"samples": 6, "selected": 1},
        {"samples": 3, "selected": 1},
        {"samples": 1, "selected": 2},
    ]
    # Pool .6 .3 .1, selection .25 .25 .5.
    assert total_variation(groups) == pytest.approx(0.4)
    assert total_variation([{"samples": 9, "selected": 0.5}]) == 0


def test_overlap_by_hand():
    one, other = rows_of(1, 2, 3, 4), rows_of(4, 9, 1, 7)
    assert share_in_common([one], [other], 4) == 0.5
    assert share_in_common([one], [one], 4) == 1
    # A smaller subset is held against the size that was wanted.
    assert share_in_common([one], [rows_of(1)], 4) == 0.25
    # Of two random strategies, draws of one seed are not compared: 1 with 4 and 2 with 3 are.
    first, second = [rows_of(0), rows_of(1)], [rows_of(0), rows_of(0)]
    assert share_in_common(first, second, 1) == 0.5
    assert share_in_common(first, first, 1) == 0
    assert share_in_common([one], [one, other], 4) == 0.75


# intervals


def test_the_interval_over_seeds_is_students():
    found = over_seeds([1.0, 2.0, 3.0, 4.0, 5.0])
    # t = 2.776 with 4 degrees of freedom, s = sqrt(2.5).
    assert found["value"] == 3
    assert found["half"] == pytest.approx(2.776 * np.sqrt(2.5) / np.sqrt(5), abs=1e-4)
    assert over_seeds([7.0]) == {"value": 7.0, "half": None, "values": [7.0]}
    assert over_seeds([float("nan")])["value"] is None


def test_the_difference_has_an_interval_that_covers_the_truth():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        ours = rng.choice([3.0, 4.0, 5.0], 80)
        theirs = [rng.choice([2.0, 3.0, 4.0], 80) for _ in range(5)]
        found = difference([ours], theirs, seed)
        assert found["value"] == pytest.approx(ours.mean() - np.mean(theirs))
        assert found["low"] < found["value"] < found["high"]
        covered += found["low"] <= 1 <= found["high"]
    assert 88 <= covered <= 100


def test_the_difference_of_draws_and_of_nothing():
    ours = [np.full(4, 3.0), np.full(4, 5.0)]
    found = difference(ours, [np.full(9, 1.0)], 0)
    # Replicates are shared out among the draws: half at 2, half at 4.
    assert found == {"value": 3.0, "low": 2.0, "high": 4.0}
    assert difference([np.empty(0)], [np.ones(3)], 0) is None


# what a command printed


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.61", 0.61),
        ("epoch 1 loss 3.5\nepoch 2 loss 2.5\n\n  \n", 2.5),
        ("accuracy=61.5%", 61.5),
        ('{"mmlu": 0.5, "gsm8k": 0.25}', 0.25),
        ("score: -1.5e-3.", -0.0015),
        ("0.3, 0.4", 0.4),
        ("| result | 7 |", 7),
    ],
)
def test_the_last_number_of_the_last_line(text, number):
    assert last_number(text) == (number, "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it printed nothing"),
        ("\n \n", "it printed nothing"),
        ("0.5\ndone", "its last line `done` has no number"),
        ("took 5s", "ends on `5s`"),
        ("1,234", "ends on `1,234`"),
        ("5/7", "ends on `5/7`"),
        ("1e999", "not finite"),
        ("acc ٣", "no number"),
    ],
)
def test_what_might_be_read_in_two_ways_is_no_number(text, why):
    number, told = last_number(text)
    assert number is None
    assert why in told


def test_a_command_must_see_its_subset():
    assert split_command("sh train --data '{subset}' -n {n}") == (
        "sh", "train", "--data", "{subset}", "-n", "{n}",
    )  # fmt: skip
    assert split_command("./{strategy}.sh {subset}")[0] == "./{strategy}.sh"
    with pytest.raises(PoolError, match="never sees the subset"):
        split_command("train --data pool.jsonl")
    with pytest.raises(PoolError, match="is no command"):
        split_command("train '{subset}")


def test_a_command_that_cannot_run_is_refused_before_anything_is_made(tmp_path):
    script = tmp_path / "train.sh"
    for said in ("there is no such program", "the file may not be executed"):
        with pytest.raises(PoolError, match=rf"cannot run `{script}`: {said}") as caught:
            split_command(f"{script} {{subset}}")
        assert "sh -c" in caught.value.hint
        script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert split_command(f"{script} {{subset}}")[0] == str(script)
