"""Every kind of file: what is read, in which order, and what is said of a broken one."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
from types import SimpleNamespace

import polars as pl
import pytest

from ds2_fast.errors import PoolError
from ds2_fast.pool import read_pool

ROWS = [
    {"instruction": 'q "1"', "input": "", "output": "é\n😀"},
    {"instruction": "q2", "input": "i, j\tk", "output": "a2"},
]
TEXTS = ['q "1"\né\n😀', "q2\ni, j\tk\na2"]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
FRAME = pl.DataFrame(ROWS)


def write_csv(path, **options):
    FRAME.write_csv(path, check_extension=False, **options)


WRITERS = {
    "pool.jsonl": lambda path: path.write_text(LINES),
    "pool.ndjson": lambda path: path.write_text(LINES),
    "pool.jsonl.gz": lambda path: path.write_bytes(gzip.compress(LINES.encode())),
    "pool.jsonl.bz2": lambda path: path.write_bytes(bz2.compress(LINES.encode())),
    "pool.jsonl.xz": lambda path: path.write_bytes(lzma.compress(LINES.encode())),
    "pool.jsonl.zst": lambda path: FRAME.write_ndjson(path, compression="zstd"),
    "pool.json": lambda path: path.write_text(json.dumps(ROWS)),
    "pretty.json": lambda path: path.write_text(json.dumps(ROWS, indent=4)),
    "object.json": lambda path: path.write_text(json.dumps({"version": 1, "data": ROWS})),
    "lines.json": lambda path: path.write_text(LINES),
    "pool.json.gz": lambda path: path.write_bytes(gzip.compress(json.dumps(ROWS).encode())),
    "pool.parquet": FRAME.write_parquet,
    "pool.csv": write_csv,
    "POOL.CSV": write_csv,
    "pool.csv.gz": lambda path: write_csv(path, compression="gzip"),
    "pool.csv.zst": lambda path: write_csv(path, compression="zstd"),
    "pool.csv.xz": lambda path: path.write_bytes(lzma.compress(FRAME.write_csv().encode())),
    "pool.tsv": lambda path: write_csv(path, separator="\t"),
    "pool.arrow": FRAME.write_ipc,
    "stream.arrow": FRAME.write_ipc_stream,
    "pool.feather": FRAME.write_ipc,
}


@pytest.mark.parametrize("name", WRITERS)
def test_kind_of_file(name, tmp_path):
    WRITERS[name](tmp_path / name)
    pool = read_pool(tmp_path / name)
    assert pool.texts() == TEXTS
    assert pool.schema.name == "alpaca"
    assert pool.frame.columns == list(ROWS[0])
    assert pool.sources == pool.inputs == (str(tmp_path / name),)
    assert (pool.raw is not None) == ("json" in pool.format)
    # The empty input is null in a table of text, and the digest does not mind.
    assert pool.digest() == read_pool(ROWS).digest()


def test_the_format_is_kind_and_compression(tmp_path):
    for name, expected in {"pool.ndjson": "jsonl", "pool.jsonl.zst": "jsonl.zst",
                           "pool.feather": "arrow", "pool.tsv": "tsv"}.items():  # fmt: skip
        WRITERS[name](tmp_path / name)
        assert read_pool(tmp_path / name).format == expected
    assert read_pool(ROWS).format == "memory"


def test_the_digest_tells_texts_apart():
    def digest(*texts):
        return read_pool([{"text": text} for text in texts]).digest()

    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("abc", "")}) == 4
    assert digest("a", "b") != digest("b", "a")
    assert digest("a") == read_pool([{"text": "a", "other": 1}]).digest()
    assert len(digest("a")) == 32


class TestSeveralFiles:
    @pytest.fixture
    def folder(self, tmp_path):
        for name, text in {"b": "1", "a": "2", "c": "3"}.items():
            (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": text}) + "\n")
        return tmp_path

    def test_in_the_order_given(self, folder):
        paths = [folder / "b.jsonl", str(folder / "a.jsonl")]
        pool = read_pool(paths)
        assert pool.texts() == ["1", "2"]
        assert pool.frame.columns == ["text", "_source"]
        assert pool.frame["_source"].to_list() == [str(path) for path in paths]

    @pytest.mark.parametrize("name", ["*.jsonl", "."])
    def test_a_pattern_or_folder_by_name(self, folder, name):
        (folder / ".hidden.jsonl").write_text("broken")
        pool = read_pool(folder / name)
        assert pool.texts() == ["2", "1", "3"]
        assert len(pool.sources) == 3

    def test_columns_of_one_file_only(self, folder):
        (folder / "d.jsonl").write_text('{"text": "4", "extra": 7}\n')
        pool = read_pool(folder)
        assert pool.frame["extra"].to_list() == [None, None, None, 7]

    def test_kinds_together(self, folder):
        pl.DataFrame({"text": ["4"], "extra": [1.5]}).write_parquet(folder / "d.parquet")
        pool = read_pool([folder / "a.jsonl", folder / "d.parquet"])
        assert pool.texts() == ["2", "4"]
        assert pool.raw is None

    def test_a_source_column_of_their_own(self, folder):
        (folder / "d.jsonl").write_text('{"text": "4", "_source": "mine"}\n')
        pool = read_pool(folder)
        assert pool.frame["_source"].to_list() == [None, None, None, "mine"]
        assert pool.notices == ("the files have a column `_source` of their own, which is kept",)

    def test_different_schemas(self, folder):
        other = folder / "d.jsonl"
        other.write_text('{"instruction": "q", "output": "a"}\n')
        check_error(
            [folder / "a.jsonl", other],
            f"the files are of different schemas: {folder / 'a.jsonl'} lacks `instruction`, "
            "`output` of alpaca",
            "select from one schema at a time, or convert the files to one",
        )

    def test_types_that_do_not_fit(self, folder):
        pl.DataFrame({"text": ["4"], "x": [[1]]}).write_parquet(folder / "d.parquet")
        pl.DataFrame({"text": ["5"], "x": ["y"]}).write_parquet(folder / "e.parquet")
        with pytest.raises(PoolError, match=r"^the files do not fit together: ") as caught:
            read_pool(folder / "*.parquet")
        assert caught.value.hint == "give the columns the same types in all files"

    def test_named_twice(self, folder):
        path = folder / "a.jsonl"
        check_error([path, path], f"{path} is named twice", "name each file once")

    def test_a_folder_of_several_kinds(self, folder):
        pl.DataFrame({"text": ["4"]}).write_parquet(folder / "d.parquet")
        check_error(
            folder,
            f"the folder `{folder}` holds files of several kinds (jsonl, parquet)",
            f"name the ones to read, for example `{folder}/*.jsonl`",
        )


class TestSavedDataset:
    @staticmethod
    def save(folder, texts, shards=1):
        folder.mkdir(parents=True)
        names = [f"data-{i:05d}-of-{shards:05d}.arrow" for i in range(shards)]
        for i, name in enumerate(names):
            pl.DataFrame({"text": texts[i::shards]}).write_ipc_stream(folder / name)
        state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
        (folder / "state.json").write_text(json.dumps(state))
        (folder / "dataset_info.json").write_text("{}")

    def test_a_dataset(self, tmp_path):
        self.save(tmp_path / "saved", ["1", "2"])
        assert read_pool(tmp_path / "saved").texts() == ["1", "2"]

    def test_shards_in_the_order_of_the_state(self, tmp_path):
        self.save(tmp_path / "saved", ["1", "2", "3"], shards=2)
        assert read_pool(tmp_path / "saved").texts() == ["1", "3", "2"]

    def test_splits(self, tmp_path):
        saved = tmp_path / "saved"
        self.save(saved / "train", ["1"])
        self.save(saved / "test", ["2"])
        (saved / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        assert read_pool(saved).texts() == ["1"]
        assert read_pool(saved, split="test").texts() == ["2"]
        with pytest.raises(PoolError) as caught:
            read_pool(saved, split="dev")
        assert caught.value.message == f"`{saved}` has no split `dev`"
        assert caught.value.hint == "name one with `--split`: `train`, `test`"

    def test_a_missing_shard(self, tmp_path):
        self.save(tmp_path / "saved", ["1"])
        name = "data-00000-of-00001.arrow"
        (tmp_path / "saved" / name).unlink()
        check_error(
            tmp_path / "saved",
            f"`{tmp_path / 'saved'}` lacks `{name}`, which its state.json names",
            "copy the whole folder, or save the dataset again",
        )

    def test_a_broken_state(self, tmp_path):
        self.save(tmp_path / "saved", ["1"])
        (tmp_path / "saved" / "state.json").write_text("[]")
        check_error(
            tmp_path / "saved",
            f"`{tmp_path / 'saved' / 'state.json'}` does not list the files of a saved dataset",
            "save the dataset again with `save_to_disk`, or export it with `to_parquet`",
        )


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(LINES.encode())))
    pool = read_pool("-")
    assert pool.texts() == TEXTS
    assert pool.format == "jsonl"


class TestCsv:
    def test_a_number_is_one_only_if_it_is_written_the_same_way_back(self, tmp_path):
        path = tmp_path / "pool.csv"
        path.write_text("text,zip,score,share,money,none\na,007,3,0.5,1.50,\nb,8,,2.25,2,\n")
        frame = read_pool(path).frame
        assert frame.schema["zip"] == pl.String
        assert frame["zip"].to_list() == ["007", "8"]
        assert frame["score"].to_list() == [3, None]
        assert frame["share"].to_list() == [0.5, 2.25]
        assert frame["money"].to_list() == ["1.50", "2"]
        assert frame["none"].to_list() == [None, None]

    def test_cells_with_line_ends_and_a_byte_order_mark(self, tmp_path):
        path = tmp_path / "pool.csv"
        path.write_bytes('\ufefftext,x\r\n"a\r\nb",1\r\n'.encode())
        pool = read_pool(path)
        assert pool.texts() == ["a\r\nb"]

    def test_two_columns_of_one_name(self, tmp_path):
        path = tmp_path / "pool.csv"
        path.write_text("text,text\n1,2\n")
        check_error(path, f"{path} has two columns `text`", "rename one of them")

    def test_too_many_cells(self, tmp_path):
        path = tmp_path / "pool.csv"
        path.write_text("text,x\n1,2,3\n")
        check_error(
            path,
            f"{path} cannot be read as csv: found more fields than defined in 'Schema'",
            "look whether the file is whole and its suffix is right",
        )


def check_error(source, message, hint):
    with pytest.raises(PoolError) as caught:
        read_pool(source)
    assert (caught.value.message, caught.value.hint) == (message, hint)


JSON_HINT = "repair or remove that line"
SHAPES = 'a .json file is `[{...}, {...}]` or `{"data": [{...}, {...}]}`'


@pytest.mark.parametrize(
    ("name", "data", "message", "hint"),
    [
        ("p.jsonl", b'{"text": "a"}\n\n{"text": \n', "{}:3 is not JSON: expecting value, column 10",
         JSON_HINT),
        ("p.jsonl", b'{"text": "a"}\n["text"]\n', "{}:2 is a list, not an object", JSON_HINT),
        ("p.jsonl", b'{"text": "a"} {"text": "b"}\n', "{}:1 is not JSON: extra data, column 15",
         JSON_HINT),
        ("p.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "{}:2 is not UTF-8 text (byte 0xff)",
         "convert it, for example with `iconv -f latin1 -t utf-8`"),
        ("p.jsonl.gz", gzip.compress(b'{"text": "\xff"}\n'), "{}:1 is not UTF-8 text (byte 0xff)",
         "convert it, for example with `iconv -f latin1 -t utf-8`"),
        ("p.jsonl", b'{"text": "a", "n": ' + b"9" * 5000 + b"}",
         "{}:1 holds a number that is too long", JSON_HINT),
        ("p.jsonl", b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
         "{}:1 is nested too deeply to be read", JSON_HINT),
        ("p.jsonl", b"", "the pool is empty: {} holds no samples", "look at the input"),
        ("p.json", b" \n", "the pool is empty: {} holds no samples", "look at the input"),
        ("p.json", b"[]", "the pool is empty: {} holds no samples", "look at the input"),
        ("p.csv", b"", "the pool is empty: {} holds no samples", "look at the input"),
        ("p.csv", b"text\n", "the pool is empty: {} holds no samples", "look at the input"),
        ("p.json", b'[{"text": "a"},\n {"text": }]', "{}:2 is not JSON: expecting value",
         "repair the file, or name it .jsonl when each line is one sample"),
        ("p.json", b'[{"text": "a"}\n {"text": "b"}]',
         "{}:2 is not JSON: expecting ',' delimiter",
         "repair the file, or name it .jsonl when each line is one sample"),
        ("p.json", b'[{"text": "a"}]\n]', "{}:2 is not JSON: extra data",
         "repair the file, or name it .jsonl when each line is one sample"),
        ("p.json", b'[{"text": "a"},\n7]', "{}:2: sample 1 is a number, not an object", JSON_HINT),
        ("p.json", b'{"a": [{"text": "a"}], "b": [{"text": "b"}]}',
         "{} holds one object, and not exactly one list of samples in it: `a`, `b`", SHAPES),
        ("p.json", b'{"a": 1}',
         "{} holds one object, and not exactly one list of samples in it: none", SHAPES),
        ("p.json", b'"text"', "{} holds a string, not a list of samples", SHAPES),
        ("p.txt", b"text", "`{}` is of a kind that is not read",
         "ds2-fast reads .jsonl, .ndjson, .json, .parquet, .csv, .tsv, .arrow, .feather; text also "
         "with .gz, .zst, .bz2, .xz"),
        ("p.jsonl.xz", b"not xz", "{} cannot be read as jsonl (xz): Input format not supported by "
         "decoder", "look whether the file is whole and its suffix is right"),
    ],
)  # fmt: skip
def test_broken_files(name, data, message, hint, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    check_error(path, message.format(path), hint)


@pytest.mark.parametrize("name", ["p.parquet", "p.arrow", "p.jsonl.zst", "p.jsonl.gz"])
def test_truncated_files_are_named(name, tmp_path):
    path = tmp_path / name
    whole = tmp_path / f"whole-{name}"
    frame = pl.DataFrame({"text": [os.urandom(50).hex() for _ in range(500)]})
    if name.endswith("parquet"):
        frame.write_parquet(whole)
    elif name.endswith("arrow"):
        frame.write_ipc(whole)
    else:
        frame.write_ndjson(whole, compression="zstd" if name.endswith("zst") else "gzip")
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(PoolError) as caught:
        read_pool(path)
    assert caught.value.message.startswith(f"{path} cannot be read as ")
    assert "\n" not in caught.value.message


def test_no_such_file(tmp_path):
    (tmp_path / "pool.jsonl").write_text(LINES)
    path = tmp_path / "poll.jsonl"
    check_error(path, f"there is no file `{path}`", f"did you mean `{tmp_path / 'pool.jsonl'}`?")
    path = tmp_path / "no" / "pool.jsonl"
    check_error(path, f"there is no file `{path}`", f"there is no folder `{path.parent}` either")
    path = tmp_path / "*.csv"
    check_error(path, f"no file matches `{path}`", "quote the pattern, and look at the folder")


def test_an_empty_folder_and_an_address(tmp_path):
    with pytest.raises(PoolError) as caught:
        read_pool(tmp_path)
    assert caught.value.message == f"the folder `{tmp_path}` holds no file that is read"
    check_error(
        "hf://datasets/a/b.parquet",
        "`hf://datasets/a/b.parquet` is an address, and pools are read from files",
        "download it first, for example with `hf download --repo-type dataset`",
    )


class TestMemory:
    def test_polars(self):
        assert read_pool(FRAME).texts() == TEXTS
        assert read_pool(FRAME.lazy()).texts() == TEXTS

    def test_mappings(self):
        assert read_pool(iter(ROWS)).texts() == TEXTS
        assert read_pool(tuple(ROWS)).sources == ()

    def test_a_hugging_face_dataset_by_protocol(self):
        class Dataset:
            column_names = tuple(ROWS[0])

            def to_dict(self):
                return FRAME.to_dict(as_series=False)

        class NewDataset(Dataset):
            def to_polars(self):
                return FRAME

        assert read_pool(Dataset()).texts() == TEXTS
        assert read_pool(NewDataset()).texts() == TEXTS
        assert read_pool({"train": NewDataset(), "test": Dataset()}).texts() == TEXTS
        with pytest.raises(PoolError) as caught:
            read_pool({"test": Dataset()})
        assert caught.value.message == "the dataset has no split `train`"

    def test_an_arrow_stream(self):
        class Table:
            def __arrow_c_stream__(self, requested_schema=None):
                return FRAME.__arrow_c_stream__(requested_schema)

        assert read_pool(Table()).texts() == TEXTS

    def test_a_pandas_frame(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame([*ROWS, {"instruction": "q", "output": "a"}])
        assert read_pool(frame).texts() == [*TEXTS, "q\na"]

    def test_values_that_are_no_json(self):
        import datetime

        pool = read_pool([{"text": "t", "when": datetime.date(2026, 1, 2)}])
        assert pool.frame.schema["when"] == pl.Date
        assert pool.raw is None
        with pytest.raises(PoolError, match=r"^the values cannot be put into columns: "):
            read_pool([{"text": "t", "what": object()}])

    def test_what_is_no_pool(self):
        with pytest.raises(TypeError) as caught:
            read_pool(7)
        assert str(caught.value) == (
            "source: expected a path, a frame, a dataset or an iterable of mappings, got int"
        )
        with pytest.raises(TypeError) as caught:
            read_pool([{"text": "t"}, "x"])
        assert str(caught.value) == "source: expected mappings, got str at row 1"
