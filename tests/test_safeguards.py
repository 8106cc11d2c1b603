"""Safe selection over the whole line: rank, trim, duplicates, quotas, k-center, the first n."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast import choice
from ds2_fast.cli import main
from ds2_fast.errors import PoolError
from ds2_fast.knn import Neighbors
from ds2_fast.progress import Narrator
from test_duplicates import drop_slow
from test_kcenter import choose_slow
from test_quotas import seat_slow

SIZE = 600
N = 120
NAMES = ("books", "code", "web", "null")
BEFORE = {"curation": "none", "scale": "observed"}


class Told(Narrator):
    """Remembers what was said."""

    def __init__(self):
        self.lines, self.notes = [], []

    def done(self, name, text):
        self.lines.append((name, text))

    def note(self, text):
        self.notes.append(text)

    @property
    def made(self):
        return [name for name, text in self.lines if not text.endswith("(reused)")]


@pytest.fixture(scope="module")
def made():
    """Samples of few scores, in groups, with rows of small whole numbers and planted copies."""
    random = np.random.default_rng(5)
    rows = random.integers(-3, 4, (SIZE, 12)).astype(np.float32)
    rows[0] = 1
    copies = random.permutation(SIZE)[:160]
    rows[copies[80:]] = rows[copies[:80]]
    groups = random.choice(4, SIZE, p=[0.2, 0.1, 0.65, 0.05])
    frame = pl.DataFrame(
        {
            "instruction": [f"question {row}" for row in range(SIZE)],
            "output": [f"answer {row}" for row in range(SIZE)],
            "rating": random.integers(0, 4, SIZE),
            "source": [None if code == 3 else NAMES[code] for code in groups],
        }
    )
    return frame, rows, groups


@pytest.fixture(scope="module")
def files(made, tmp_path_factory):
    frame, rows, _ = made
    folder = tmp_path_factory.mktemp("pool")
    frame.write_parquet(folder / "pool.parquet")
    np.save(folder / "rows.npy", rows)
    return folder


def select(files, n=N, **options):
    return ds2_fast.select(
        files / "pool.parquet",
        n,
        embeddings=files / "rows.npy",
        run_dir=options.pop("run_dir", files / "run"),
        pool_options={"group_col": "source"},
        html=False,
        **BEFORE,
        **options,
    )


def run(capsys, files, *arguments):
    command = ("select", files / "pool.parquet", "--embeddings", files / "rows.npy")
    known = ("--curation", "none", "--scale", "observed", "--run-dir", files / "run")
    code = main([str(part) for part in (*command, *known, *arguments)])
    out, err = capsys.readouterr()
    return code, out, " ".join(err.split())


def ranked(result):
    return (
        result.scores.drop_nulls("ds2_rank").sort("ds2_rank")["ds2_index"].to_numpy().astype("u4")
    )


def graph(files):
    run_dir = files / "run"
    return Neighbors(np.load(run_dir / "neighbors.npy"), np.load(run_dir / "similarities.npy"))


def expected(files, made, *, dedup=None, quotas=None, kcenter=False):
    """The whole line by its slow twins, from the plain ranking on."""
    _, rows, groups = made
    plain = select(files)
    order = ranked(plain)
    if dedup:
        order = np.array(drop_slow(order, graph(files), dedup)[0])
    bucket = np.floor(plain.scores["ds2_score_expected"].to_numpy() / 0.25)
    codes = np.zeros(SIZE, int)
    chosen = order[:N].tolist()
    if quotas:
        codes = groups
        chosen = seat_slow(order.tolist(), codes, N, *quotas)
    if not kcenter:
        return chosen
    cut = {code: min(bucket[row] for row in chosen if codes[row] == code) for code in codes[chosen]}
    at_cut = [row for row in order.tolist() if bucket[row] == cut.get(codes[row])]
    left_out = {codes[row] for row in at_cut if row not in chosen}
    candidates = np.array([row for row in at_cut if codes[row] in left_out])
    above = [row for row in chosen if row not in candidates]
    seats = np.bincount([codes[row] for row in chosen if row in candidates], minlength=4)
    return above + choose_slow(rows, above, candidates, codes[candidates], seats)[0]


MIX = {"web": 0.4, "null": 0.05}
QUOTAS = ([12, 12, 48, 6], {2, 3})


def test_outliers_are_told_row_by_row(files):
    result = select(files)
    outliers = result.scores.filter(pl.col("ds2_reason") == "outlier set aside")
    assert 1 <= outliers.height <= SIZE // 100
    assert result.report["selection"]["outliers"] == outliers["ds2_index"].to_list()
    assert result.report["selection"]["reasons"]["outlier set aside"] == outliers.height
    rest = result.scores.filter(pl.col("ds2_reason") != "outlier set aside")
    assert outliers["ds2_long_tail"].min() > rest["ds2_long_tail"].max()
    stored = json.loads((files / "run" / "selection.json").read_text())
    assert stored["outliers"] == outliers["ds2_index"].to_list()
    assert (stored["duplicates"], stored["kcenter"]) == (None, None)
    kept = select(files, keep_outliers=True)
    assert kept.report["selection"]["outliers"] == []


def test_duplicates_leave_and_the_next_in_rank_move_up(files, made):
    plain = select(files)
    result = select(files, dedup=0.95)
    assert result.indices.tolist() == expected(files, made, dedup=0.95)
    assert len(result.indices) == N
    kept, dropped = drop_slow(ranked(plain), graph(files), 0.95)
    assert ranked(result).tolist() == kept
    sheet = result.scores
    found = sheet.filter(pl.col("ds2_reason") == "near duplicate")
    pairs = zip(found["ds2_index"], found["ds2_duplicate_of"], strict=True)
    assert dict(pairs) == dropped
    assert sheet.filter(pl.col("ds2_duplicate_of").is_not_null()).height == len(dropped) >= 60
    assert "ds2_duplicate_of" not in plain.scores.columns
    told = result.report["selection"]["duplicates"]
    assert (told["threshold"], told["dropped"]) == (0.95, len(dropped))
    last = ranked(plain).tolist().index(int(result.indices[-1]))
    lost = [row for row in ranked(plain)[:last].tolist() if row in dropped]
    assert [pair["row"] for pair in told["replaced"]] == lost
    assert all(dropped[pair["row"]] == pair["stands_for"] for pair in told["replaced"])


def test_subsets_without_duplicates_are_nested(files):
    nested = select(files, "40,120,300", dedup=0.95)
    for size in nested.sizes:
        assert select(files, size, dedup=0.95).indices.tolist() == nested.indices[:size].tolist()


def test_quotas_choose_by_share_and_say_why(files, made):
    _, _, groups = made
    result = select(files, mix=MIX, min_share=0.1)
    assert sorted(result.indices.tolist()) == sorted(expected(files, made, quotas=QUOTAS))
    shares = result.report["selection"]["groups"]["shares"]
    counts = np.bincount(groups[result.indices], minlength=4).tolist()
    assert [share["group"] for share in shares] == list(NAMES)
    assert [share["selected"] for share in shares] == counts
    assert [share["reserved"] for share in shares] == QUOTAS[0]
    assert (counts[2], counts[3]) == (48, 6)
    assert sum(counts) == N
    plain = select(files).indices.tolist()
    reason = result.scores["ds2_reason"]
    for row in result.indices.tolist():
        assert reason[row] == (
            "selected" if row in plain else "selected for the share of its group"
        )
    for row in set(plain) - set(result.indices.tolist()):
        assert reason[row] in ("share of its group is full", "long-tail score below the cut")
    assert "share of its group is full" in reason.to_list()


@pytest.mark.parametrize("quotas", [False, True])
def test_kcenter_fills_the_bucket_at_the_cut(files, made, quotas):
    options = {"mix": MIX, "min_share": 0.1} if quotas else {}
    result = select(files, fill="kcenter", **options)
    wanted = expected(files, made, kcenter=True, quotas=QUOTAS if quotas else None)
    assert result.indices.tolist() == wanted
    without = select(files, **options)
    groups = [result.frame["source"], without.frame["source"]]
    if quotas:
        assert sorted(groups[0], key=str) == sorted(groups[1], key=str)
    moved = set(wanted) - set(without.indices.tolist())
    reason = result.scores["ds2_reason"]
    plain = select(files).indices.tolist()
    for row in moved - set(plain):
        assert reason[row] == "selected by k-center"
    for row in set(without.indices.tolist()) - set(wanted):
        assert reason[row] == "k-center chose others"
    assert moved
    told = result.report["selection"]["kcenter"]
    assert told["chosen"] <= told["candidates"]
    assert 0 < told["last_distance"] <= told["first_distance"] <= 2


def test_all_of_it_is_one_line(files, made, tmp_path):
    options = {"dedup": 0.95, "mix": MIX, "min_share": 0.1, "fill": "kcenter"}
    wanted = expected(files, made, dedup=0.95, quotas=QUOTAS, kcenter=True)
    result = select(files, **options)
    assert result.indices.tolist() == wanted
    for threads in (1, 3):
        again = select(files, run_dir=tmp_path / str(threads), threads=threads, **options)
        for name in ("scores.parquet", "selected.txt", "selection.json"):
            bytes_of = [(f / name).read_bytes() for f in (files / "run", tmp_path / str(threads))]
            assert bytes_of[0] == bytes_of[1]
        assert again.report["selection"] == result.report["selection"]


def test_other_safeguards_make_only_the_selection_anew(files):
    select(files)
    for options in ({"dedup": 0.9}, {"fill": "kcenter"}, {"mix": {"web": 0.3}}, {"min_share": 0.1}):
        for made in (["selection"], []):
            told = Told()
            select(files, narrator=told, **options)
            assert [
                name for name in told.made if name not in ("pool", "scores", "features")
            ] == made


def test_without_quotas_the_groups_are_only_told(files):
    result = select(files)
    shares = result.report["selection"]["groups"]["shares"]
    assert sum(share["selected"] for share in shares) == N
    assert {share["reserved"] for share in shares} == {None}


def test_a_whole_bucket_leaves_nothing_to_fill(files):
    eligible = len(ranked(select(files)))
    result = select(files, eligible, fill="kcenter")
    assert result.indices.tolist() == ranked(select(files)).tolist()
    assert result.report["selection"]["kcenter"]["chosen"] == 0


def test_a_long_search_is_told_beforehand(files, monkeypatch):
    monkeypatch.setattr(choice, "_LONG", 0)
    told = Told()
    select(files, 77, fill="kcenter", narrator=told)
    assert any("should take 0.0 s at most" in note for note in told.notes)


def test_what_cannot_be_is_refused_before_any_work(files, tmp_path):
    for options, n, text in (
        ({"mix": {"wep": 0.3}}, N, "there is no group `wep` to mix"),
        ({"mix": {"web": 0.7, "code": 0.4}}, N, "sum to 1.1, more than 1"),
        ({"mix": {"web": 0.7}}, "10,20", "`--mix` the choice depends on n"),
        ({"fill": "kcenter"}, "10,20", "`--fill kcenter` the choice depends on n"),
        ({"min_share": 0.1}, None, "`--min-share` the choice depends on n"),
        ({"dedup": 0.9, "preset": "reference"}, N, "so `--dedup` cannot be applied to it"),
    ):
        with pytest.raises(PoolError) as caught:
            select(files, n, run_dir=tmp_path / "run", **options)
        assert text in str(caught.value)
        assert caught.value.hint
        assert not (tmp_path / "run").exists()
    with pytest.raises(PoolError, match="`--mix` needs the group of every sample"):
        ds2_fast.select(files / "pool.parquet", 5, mix={"web": 0.5}, run_dir=tmp_path / "run")
    for options, text in (
        ({"dedup": 0.0}, r"dedup must lie in \(0, 1\], got 0.0"),
        ({"dedup": float("nan")}, r"dedup must lie in \(0, 1\], got nan"),
        ({"fill": "random"}, "fill must be one of longtail, kcenter, got 'random'"),
        ({"min_share": 1.5}, r"min_share must lie in \[0, 1\], got 1.5"),
    ):
        with pytest.raises(ValueError, match=text):
            select(files, run_dir=tmp_path / "run", **options)


def test_too_few_are_left_without_duplicates(files):
    eligible = len(ranked(select(files)))
    with pytest.raises(PoolError, match=r"are left of 59\d eligible ones \(\d+ near") as caught:
        select(files, eligible, dedup=0.95)
    assert "raise `--dedup`" in caught.value.hint


def test_the_command_line_tells_each_in_a_line(capsys, files):
    arguments = ("-n", N, "--dedup", 0.95, "--fill", "kcenter", "--group-col", "source")
    code, out, err = run(capsys, files, *arguments, "--mix", "web=0.4, null=0.5")
    assert (code, out) == (0, "")
    assert "near duplicates (similarity 0.95 or more): " in err
    assert "k-center: chose " in err
    assert "groups of the selection: " in err
    assert (
        "seats went to the best-ranked of all groups, as there are too few samples in null" in err
    )
    code, out, _ = run(capsys, files, *arguments, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["settings"]["dedup"] == 0.95
    assert found["settings"]["group_col"] == "source"
    assert found["selection"]["duplicates"]["dropped"] > 0
    assert found["selection"]["outliers"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--dedup", 0), "0.0 is not in the range 0<x<=1"),
        (("--dedup", "near"), "`near` is not a valid float"),
        (("--fill", "random"), "`random` is not one of `longtail`, `kcenter`"),
        (("--mix", "web"), "`web` is not of the form web=0.7"),
        (("--mix", "=0.5"), "`=0.5` is not of the form web=0.7"),
        (("--mix", "web=much"), "`web=much` is not of the form web=0.7"),
        (("--mix", "web=0.1,web=0.2"), "group `web` occurs twice"),
        (("--min-share", 2), "2.0 is not in the range 0<=x<=1"),
    ],
)
def test_wrong_values_are_usage_errors(capsys, files, arguments, text):
    code, out, err = run(capsys, files, "-n", 5, *arguments)
    assert (code, out) == (2, "")
    assert text in err


def test_an_unknown_group_is_an_error_with_its_nearest_name(capsys, files):
    code, _, err = run(capsys, files, "-n", 5, "--group-col", "source", "--mix", "wep=0.5")
    assert code == 3
    assert "error: there is no group `wep` to mix" in err
    assert "hint: did you mean `web`? the groups are `books`, `code`, `web`, `null`" in err


def test_more_copies_than_neighbors_are_said(capsys, tmp_path):
    random = np.random.default_rng(1)
    rows = random.normal(size=(400, 8)).astype(np.float32)
    rows[:90] = rows[0]
    np.save(tmp_path / "rows.npy", rows)
    pl.DataFrame(
        {"instruction": [f"question {row}" for row in range(400)], "rating": np.arange(400) % 5}
    ).with_columns(output=pl.col("instruction")).write_parquet(tmp_path / "pool.parquet")
    code, out, err = run(capsys, tmp_path, "-n", 20, "--dedup", 0.99)
    assert (code, out) == (0, "")
    assert "care: all neighbors of 90 samples are that near" in err
