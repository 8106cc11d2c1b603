"""Strategies: roles, options, composition, and what a plan makes of scores."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.errors import PoolError
from ds2_fast.strategies import Strategy, find_strategy, option, parse_strategy, strategy_names

ROWS = np.eye(4, dtype=np.float32)[[0, 0, 1, 2, 3, 3]]
FRAME = pl.DataFrame(
    {
        "prompt": [f"question {row}" for row in range(6)],
        "completion": ["x" * length for length in (3, 9, 1, 7, 5, 2)],
        "score": [5, 5, 3, 4, 4, 1],
        "kind": ["a", "a", "a", "b", "b", "c"],
    }
)
OPTIONS = {"embeddings": ROWS, "score_col": "score"}


def select(strategy, n, **options):
    return ds2_fast.select(FRAME, n, strategy=strategy, **{**OPTIONS, **options})


def test_every_strategy_says_what_it_is():
    for name in strategy_names():
        part = find_strategy(name)
        assert part.name == name
        assert part.source
        assert part.__doc__
        title, _, _ = part.__doc__.partition("\n\n")
        assert title.endswith(".")
        assert part.roles()


def test_the_best_scores_come_first_and_ties_by_row():
    assert select("column", 3).indices.tolist() == [0, 1, 3]
    assert select("column", 2, strategy_options={"order": "low"}).indices.tolist() == [5, 2]


def test_who_is_left_at_the_cut_is_told_from_who_is_below():
    reasons = select("column", 3).scores["ds2_reason"].to_list()
    at, below = "score at the cut, behind equal ones", "score below the cut"
    assert reasons == ["selected", "selected", below, "selected", at, below]
    reasons = select("deita", 2).scores["ds2_reason"].to_list()
    assert reasons == ["selected", "too similar to a better sample", below, "selected", at, below]


def test_the_longest_response_comes_first():
    assert select("longest", 3).indices.tolist() == [1, 3, 4]


def test_deita_leaves_out_what_is_like_a_better_sample():
    # Rows 0 and 1 are the same point, and so are 4 and 5.
    result = select("deita", 6)
    assert result.indices.tolist() == [0, 3, 4, 2]
    assert "too similar" in result.report["selection"]["why_fewer"]


def test_alpagasus_takes_what_passes():
    result = select("alpagasus", 6, strategy_options={"threshold": 4})
    assert sorted(result.indices.tolist()) == [0, 1, 3, 4]
    assert sorted(result.indices[:2].tolist()) == [0, 1]
    assert result.report["selection"]["why_fewer"] == "only 4 samples can be chosen"


def test_where_no_sample_can_be_chosen_it_is_said_why():
    with pytest.raises(PoolError, match="`alpagasus` scores none of the 6 samples") as caught:
        select("alpagasus", 2, strategy_options={"threshold": 99})
    assert "`ds2-fast strategies alpagasus`" in caught.value.hint


def test_random_is_drawn_by_the_seed_and_nested():
    first, again = select("random", 4, seed=7), select("random", 6, seed=7)
    assert first.indices.tolist() == again.indices[:4].tolist()
    assert sorted(again.indices.tolist()) == list(range(6))
    others = {tuple(select("random", 4, seed=seed).indices.tolist()) for seed in range(8)}
    assert len(others) > 1


def test_random_stratified_keeps_shares():
    result = select("random", 3, strategy_options={"stratify": "kind"})
    # 6 samples: 3 a, 2 b, 1 c; of 3 seats 1.5, 1, .5: a has the larger floor, a and c tie.
    assert sorted(FRAME["kind"][result.indices.tolist()].to_list()) == ["a", "a", "b"]


def test_ids_takes_rows_in_the_order_of_the_list(tmp_path):
    listed = tmp_path / "picks.txt"
    listed.write_text("4\n\n0\n2\n")
    result = select("ids", 3, strategy_options={"keep_ids": str(listed)})
    assert result.indices.tolist() == [4, 0, 2]
    listed.write_text("\n \n")
    with pytest.raises(PoolError, match=r"picks\.txt` \(`--keep-ids`\) names no sample"):
        select("ids", 1, strategy_options={"keep_ids": str(listed)})
    listed.write_text("4\n9\n")
    with pytest.raises(PoolError, match=r"line 2 .* row `9`"):
        select("ids", 1, strategy_options={"keep_ids": str(listed)})


def test_a_scorer_hands_its_scores_to_a_set_rule():
    # All on different points but 0 and 1: k-center starts with the best and avoids its double.
    assert select("column+kcenter", 4).indices.tolist() == [0, 3, 4, 2]
    # Of the best four, 0, 1, 3 and 4, the three that are not alike; of the best two, both.
    narrow = {"strategy_options": {"among": 4 / 3}}
    assert select("column+kcenter", 3, **narrow).indices.tolist() == [0, 3, 4]
    assert select("column+kcenter", 2, strategy_options={"among": 1}).indices.tolist() == [0, 1]
    assert not parse_strategy("column+kcenter").nested
    assert parse_strategy("kcenter").nested
    assert select("longest+deita", 6).indices.tolist() == [1, 3, 4, 2]


def test_ds2_alone_is_the_line_of_stages():
    frame = pl.concat([FRAME] * 8)
    rows = np.random.default_rng(0).standard_normal((48, 6)).astype(np.float32)
    plain = ds2_fast.select(frame, 20, score_col="score", embeddings=rows)
    joined = ds2_fast.select(
        frame, 20, score_col="score", embeddings=rows, strategy="ds2+mmr",
        strategy_options={"weight": 1.0},
    )  # fmt: skip
    assert plain.transition is not None
    # With all weight on the score, the set rule follows the dual sort.
    assert plain.indices.tolist() == joined.indices.tolist()
    raw = ds2_fast.select(frame, 20, score_col="score", embeddings=rows, strategy="ds2-raw")
    uncurated = ds2_fast.select(frame, 20, score_col="score", embeddings=rows, curation="none")
    assert raw.indices.tolist() == uncurated.indices.tolist()


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(PoolError, match="no strategy `deeta`") as caught:
        select("deeta", 2)
    assert "did you mean `deita`" in caught.value.hint
    with pytest.raises(PoolError, match="no option `--treshold`") as caught:
        select("deita", 2, strategy_options={"treshold": 0.5})
    assert "did you mean `--threshold`" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("kcenter+column", "`kcenter` .* no scorer"),
        ("column+longest", "`longest` .* no set rule"),
        ("column+deita+mmr", "3 parts"),
        ("", "`` leaves a strategy unnamed"),
        ("deita+", r"`deita\+` leaves a strategy unnamed"),
    ],
)
def test_parts_that_make_no_whole_are_refused(name, wrong):
    with pytest.raises(PoolError, match=wrong):
        parse_strategy(name)


def test_options_are_kept_as_what_can_be_written_down():
    features = ("one.npy", "two.npy")
    for given in (features, list(features), [Path(name) for name in features]):
        plan = parse_strategy("less", {"train_features": given})
        assert plan.files() == list(features)
    for given in ("one.npy", Path("one.npy")):
        assert parse_strategy("less", {"train_features": given}).files() == ["one.npy"]
    plan = parse_strategy("dsir", {"target": Path("wanted.jsonl"), "buckets": np.int64(9)})
    assert json.loads(json.dumps(plan.to_dict()))["parts"][0]["options"] == {
        "target": "wanted.jsonl", "buckets": 9, "smoothing": 1e-8,
    }  # fmt: skip


def test_values_outside_their_range_are_refused():
    with pytest.raises(PoolError, match=r"`--threshold` .* at least -1 and at most 1, got 1\.5"):
        parse_strategy("deita", {"threshold": 1.5})
    with pytest.raises(PoolError, match="one of high, low, mid, got 'best'"):
        parse_strategy("column", {"order": "best"})


@pytest.mark.parametrize(
    "options", [{"fill": "kcenter"}, {"dedup": 0.9}, {"preset": "paper"}, {"noise_share": 0.3}]
)
def test_options_without_use_are_refused(options):
    with pytest.raises(PoolError, match=f"`--{next(iter(options)).replace('_', '-')}`"):
        select("deita", 2, **options)


def test_a_rule_that_gives_what_it_must_not_is_named():
    @dataclass(frozen=True)
    class Twice(Strategy):
        """Takes the first row twice."""

        name = "twice"
        times: int = option(2, "How often.", least=1)

        def choose(self, inputs, candidates, n):
            from ds2_fast.strategies import Picked

            return Picked(candidates.rows[[0] * self.times])

    from ds2_fast.strategies.plan import assemble, run_plan

    class Three:
        def __len__(self):
            return 3

    with pytest.raises(ValueError, match="`twice` must choose at most 2 distinct"):
        run_plan(assemble("twice", [Twice()]), Three(), 2)
