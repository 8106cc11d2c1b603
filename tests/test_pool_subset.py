"""Subsets: the same rows, the same columns, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.errors import PoolError, RunError
from ds2_fast.pool import read_pool, write_subset

# As other tools write them: escapes, spaces, key order, late and mixed keys, long numbers.
LINES = [
    '{"output":"b","instruction":"a\\u00e9 \\ud83d\\ude00","n":1.50,"x":[1,"m",{"k":null}]}',
    '{ "instruction" : "é\\n\\t\\"q\\"" , "output" : "w"  }',
    '{"instruction":"z","output":"w","id":12345678901234567890123,"x":"text","late":{"a":[]}}',
]


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "pool.jsonl").write_text("\n".join(LINES) + "\n")
    return read_pool(tmp_path / "in" / "pool.jsonl")


def test_jsonl_keeps_the_bytes_of_each_row(pool, tmp_path):
    path = write_subset(pool, np.array([2, 0], dtype=np.uint32), tmp_path / "out.jsonl")
    assert path.read_bytes() == f"{LINES[2]}\n{LINES[0]}\n".encode()


def test_windows_line_ends_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\r\n{"text": "b"}\r\n')
    pool = read_pool(path)
    assert pool.texts() == ["a", "b"]
    assert write_subset(pool, [0, 1], tmp_path / "o.jsonl").read_bytes() == (
        b'{"text": "a"}\n{"text": "b"}\n'
    )


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".bz2", ".xz"])
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_json_to_json_keeps_every_row(pool, tmp_path, kind, suffix):
    path = write_subset(pool, [0, 1, 2], tmp_path / f"out.{kind}{suffix}")
    assert read_pool(path).raw.to_list() == LINES


def test_json_is_one_array(pool, tmp_path):
    path = write_subset(pool, [1, 0], tmp_path / "out.json")
    assert json.loads(path.read_text()) == [json.loads(LINES[1]), json.loads(LINES[0])]
    assert json.loads(write_subset(pool, [], tmp_path / "none.json").read_text()) == []


def test_pretty_json_to_lines(tmp_path):
    rows = [{"text": "a\nb", "n": {"k": [1, 2]}}, {"text": "é"}]
    (tmp_path / "pool.json").write_text(json.dumps(rows, indent=2))
    path = write_subset(read_pool(tmp_path / "pool.json"), [0, 1], tmp_path / "out.jsonl")
    assert path.read_text() == '{"text":"a\\nb","n":{"k":[1,2]}}\n{"text":"é"}\n'


def test_added_columns_come_last(pool, tmp_path):
    more = pl.DataFrame({"ds2_rank": [1, 2], "ds2_note": ["é", None]})
    path = write_subset(pool, [1, 2], tmp_path / "out.jsonl", add_columns=more)
    first, second = path.read_text().splitlines()
    assert first == LINES[1].rstrip("} ") + '  ,"ds2_rank":1,"ds2_note":"é"}'
    assert json.loads(second) == {**json.loads(LINES[2]), "ds2_rank": 2, "ds2_note": None}


def test_added_columns_on_an_empty_object(tmp_path):
    (tmp_path / "pool.jsonl").write_text('{"text": "a"}\n{ }\n')
    pool = read_pool(tmp_path / "pool.jsonl")
    path = write_subset(pool, [1], tmp_path / "o.jsonl", add_columns=pl.DataFrame({"r": [1]}))
    assert path.read_text() == '{ "r":1}\n'


def test_parquet_keeps_the_schema(tmp_path):
    frame = pl.DataFrame(
        {
            "text": ["a", "b", None],
            "small": pl.Series([1, None, 3], dtype=pl.Int8),
            "kind": pl.Series(["x", "y", "x"], dtype=pl.Enum(["x", "y"])),
            "when": pl.Series([0, 1, 2]).cast(pl.Datetime("ms", "UTC")),
            "turns": [[{"role": "u", "content": "q"}], [], None],
            "vector": pl.Series([[1.0, 2.0]] * 3, dtype=pl.Array(pl.Float32, 2)),
            "bytes": [b"\xff", b"", None],
        }
    )
    frame.write_parquet(tmp_path / "pool.parquet")
    pool = read_pool(tmp_path / "pool.parquet")
    out = pl.read_parquet(write_subset(pool, [2, 0], tmp_path / "out.parquet"))
    assert out.schema == frame.schema
    assert out.equals(frame[[2, 0]])
    out = pl.read_ipc(write_subset(pool, [2, 0], tmp_path / "out.feather"))
    assert out.schema == frame.schema
    assert out.equals(frame[[2, 0]])


def test_the_pools_format_without_a_suffix(pool, tmp_path):
    assert write_subset(pool, [1], tmp_path / "out").read_text() == LINES[1] + "\n"


def test_parquet_to_json_holds_dates_as_text_and_nan_as_null(tmp_path):
    frame = pl.DataFrame({"text": ["a"], "x": [float("nan")], "d": pl.Series([0]).cast(pl.Date)})
    path = write_subset(read_pool(frame), [0], tmp_path / "out.jsonl")
    assert path.read_text() == '{"text":"a","x":null,"d":"1970-01-01"}\n'


def test_csv_holds_lists_as_json_text(tmp_path):
    rows = [{"messages": [{"role": "user", "content": 'a,"b"\n'}], "n": None}, {"n": 2}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pool = read_pool(tmp_path / "p.jsonl")
    path = write_subset(pool, [0, 1], tmp_path / "out.csv")
    assert path.read_text() == (
        'messages,n\n"[{""role"":""user"",""content"":""a,\\""b\\""\\n""}]",\n,2\n'
    )
    again = read_pool(path)
    assert again.texts() == pool.texts()
    assert again.digest() == pool.digest()


@pytest.mark.parametrize("name", ["out.csv", "out.tsv.gz", "out.parquet", "out.arrow", "out.json"])
def test_every_format_reads_back(pool, tmp_path, name):
    again = read_pool(write_subset(pool, [0, 1, 2], tmp_path / name))
    assert again.texts() == pool.texts()
    assert again.frame.columns == pool.frame.columns


def test_the_source_column_stays_inside(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": name}) + "\n")
    pool = read_pool([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    path = write_subset(pool, [1], tmp_path / "out.csv")
    assert path.read_text() == "text\nb\n"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
json_rows = st.lists(
    st.tuples(st.text(), st.dictionaries(st.text(), json_values, max_size=4)), min_size=1
)


@given(json_rows, st.booleans())
def test_any_json_survives(tmp_path_factory, drawn, ascii_only):
    """Read back, every row is what it was, whatever its neighbors hold; so is its text."""
    rows = [{**row, "text": text} for text, row in drawn]
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    folder = tmp_path_factory.mktemp("any")
    (folder / "pool.jsonl").write_bytes("".join(f"{line}\n" for line in lines).encode())
    pool = read_pool(folder / "pool.jsonl", format="text")
    assert pool.texts() == [text for text, _ in drawn]
    assert set(pool.frame.columns) == set().union(*rows)
    out = write_subset(pool, range(len(rows)), folder / "out.jsonl")
    assert out.read_bytes() == (folder / "pool.jsonl").read_bytes()
    array = write_subset(pool, range(len(rows)), folder / "out.json")
    assert json.loads(array.read_bytes()) == rows


def test_a_key_first_seen_on_the_last_row(tmp_path):
    """Inference from the first rows would drop it without a word."""
    path = tmp_path / "pool.jsonl"
    with path.open("w") as file:
        file.writelines(f'{{"text": "t{row}"}}\n' for row in range(20_000))
        file.write('{"text": "last", "late": "seen", "deep": [{"k": 1}]}\n')
    frame = read_pool(path).frame
    assert frame["late"].to_list()[-2:] == [None, "seen"]
    assert frame["deep"].to_list()[-2:] == [None, [{"k": 1}]]
    out = pl.read_parquet(write_subset(read_pool(path), [20_000], tmp_path / "out.parquet"))
    assert out["late"].to_list() == ["seen"]


class TestRefusals:
    @staticmethod
    def check(error, message, call):
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == message

    def test_over_the_input(self, pool, tmp_path):
        source = tmp_path / "in" / "pool.jsonl"
        (tmp_path / "link.jsonl").symlink_to(source)
        os.link(source, tmp_path / "hard.jsonl")
        for path in (source, tmp_path / "link.jsonl", tmp_path / "hard.jsonl"):
            self.check(
                PoolError,
                f"`{path}` is a file of the pool, which is never written over",
                lambda path=path: write_subset(pool, [0], path),
            )
        assert source.read_text() == "\n".join(LINES) + "\n"

    @pytest.mark.parametrize("name", ["in", "in/*.jsonl", "**/*.jsonl"])
    def test_into_the_pool(self, pool, tmp_path, name):
        path = tmp_path / "in" / "new.jsonl"
        self.check(
            PoolError,
            f"`{path}` would become a part of the pool `{tmp_path / name}`",
            lambda: write_subset(read_pool(tmp_path / name), [0], path),
        )
        assert not path.exists()

    def test_an_unknown_kind(self, pool, tmp_path):
        self.check(
            PoolError,
            f"`{tmp_path / 'out.txt'}` is of a kind that is not written",
            lambda: write_subset(pool, [0], tmp_path / "out.txt"),
        )

    def test_stdout(self, pool):
        self.check(
            PoolError,
            "a subset goes to a file, not to stdout",
            lambda: write_subset(pool, [0], "-"),
        )

    def test_no_folder(self, pool, tmp_path):
        path = tmp_path / "no" / "out.jsonl"
        self.check(
            RunError,
            f"cannot write `{path}`: there is no folder `{path.parent}`",
            lambda: write_subset(pool, [0], path),
        )

    def test_a_column_that_exists(self, pool, tmp_path):
        more = pl.DataFrame({"x": [1]})
        self.check(
            PoolError,
            "the pool already has the columns `x`",
            lambda: write_subset(pool, [0], tmp_path / "o.jsonl", add_columns=more),
        )

    def test_bytes_as_text_leave_nothing_behind(self, tmp_path):
        pool = read_pool(pl.DataFrame({"text": ["a"], "b": [[b"x"]]}))
        for name in ("out.jsonl", "out.csv"):
            self.check(
                PoolError,
                "column `b` holds bytes, which is no text",
                lambda name=name: write_subset(pool, [0], tmp_path / name),
            )
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([3], "rows: 3 is outside 0..2"),
            ([-1], "rows: -1 is outside 0..2"),
            ([0.5], "rows: expected whole numbers, got float64 (1,)"),
            ([[0]], "rows: expected whole numbers, got int64 (1, 1)"),
            ([True], "rows: expected whole numbers, got bool (1,)"),
        ],
    )
    def test_rows(self, pool, tmp_path, rows, message):
        self.check(ValueError, message, lambda: write_subset(pool, rows, tmp_path / "o.jsonl"))

    def test_height_of_added_columns(self, pool, tmp_path):
        more = pl.DataFrame({"r": [1]})
        self.check(
            ValueError,
            "add_columns: expected 2 rows, got 1",
            lambda: write_subset(pool, [0, 1], tmp_path / "o.jsonl", add_columns=more),
        )

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
    @pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "jsonl.xz", "csv", "parquet", "arrow"])
    def test_a_full_disk(self, pool, tmp_path, monkeypatch, kind):
        """The file written to is /dev/full: what fails is the library that writes."""
        monkeypatch.setattr("secrets.token_hex", lambda _: "0")
        path = tmp_path / f"out.{kind}"
        temporary, touch = path.with_name(f".0.{path.name}"), Path.touch

        def linked(self, *args, **options):
            return (
                self.symlink_to("/dev/full") if self == temporary else touch(self, *args, **options)
            )

        monkeypatch.setattr(Path, "touch", linked)
        with pytest.raises(RunError, match=r"^cannot write `.*`: .*no space left on device"):
            write_subset(pool, [0], path)
        assert sorted(each.name for each in tmp_path.iterdir()) == ["in"]


@pytest.mark.skipif(os.name != "posix", reason="asks the file command line tools")
@pytest.mark.parametrize(("suffix", "tool"), [("gz", "gzip"), ("bz2", "bzip2"), ("xz", "xz")])
def test_other_tools_can_unpack(pool, tmp_path, suffix, tool):
    from shutil import which

    if which(tool) is None:
        pytest.skip(f"no {tool} here")
    path = write_subset(pool, [1], tmp_path / f"out.jsonl.{suffix}")
    done = subprocess.run([tool, "-dc", str(path)], capture_output=True, check=True)
    assert done.stdout.decode() == LINES[1] + "\n"


def test_standard_input_to_a_file(tmp_path, monkeypatch):
    import io

    stdin = SimpleNamespace(buffer=io.BytesIO("\n".join(LINES).encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    path = write_subset(read_pool("-"), [1], tmp_path / "out")
    assert path.read_text() == LINES[1] + "\n"
