"""What the user names (a file, several, a pattern, a folder) to a list of files and their kinds."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ds2_fast.errors import PoolError

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".arrow": "arrow",
    ".feather": "arrow",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
TEXT_KINDS = frozenset({"jsonl", "json", "csv", "tsv"})
_READS = "ds2-fast reads " + ", ".join(KINDS) + "; text also with .gz, .zst, .bz2, .xz"


@dataclass(frozen=True)
class PoolFile:
    """One file of a pool.

    Attributes:
        path: where it is; `-` for the standard input.
        kind: a value of `KINDS`.
        compression: a value of `COMPRESSIONS`, or None.
    """

    path: str
    kind: str
    compression: str | None = None

    @property
    def name(self) -> str:
        """How errors and the `_source` column call the file."""
        return "the standard input" if self.path == "-" else self.path

    @property
    def format(self) -> str:
        """Kind and compression as one suffix: `jsonl`, `jsonl.gz`."""
        packed = next((key for key, name in COMPRESSIONS.items() if name == self.compression), "")
        return self.kind + packed


def kind_of(path: str | os.PathLike[str]) -> tuple[str, str | None] | None:
    """Tell kind and compression of a file by its suffixes; None for a suffix that is not known."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    kind = KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None or (compression and kind not in TEXT_KINDS):
        return None
    return kind, compression


def find_files(sources: Sequence[str], *, split: str = "train") -> list[PoolFile]:
    """List the files of a pool, in the order given; within a pattern or a folder, by name.

    Args:
        sources: paths of files, patterns (`data/*.parquet`), folders, `save_to_disk` folders of
            Hugging Face datasets, or `-` for JSON Lines from the standard input.
        split: the part to read of a folder that holds several.

    Raises:
        PoolError: where a path does not exist, matches nothing, or is of a kind that is not read.
    """
    files = [file for source in sources for file in _find(source, split)]
    seen: set[str] = set()
    for file in files:
        real = os.path.realpath(file.path) if file.path != "-" else "-"
        if real in seen:
            raise PoolError(f"{file.name} is named twice", "name each file once")
        seen.add(real)
    return files


def _find(source: str, split: str) -> list[PoolFile]:
    if source == "-":
        return [PoolFile("-", "jsonl")]
    if "://" in source:
        raise PoolError(
            f"`{source}` is an address, and pools are read from files",
            "download it first, for example with `hf download --repo-type dataset`",
        )
    if Path(source).is_dir():
        return _folder(Path(source), split)
    if Path(source).exists():
        return [_file(source)]
    if not glob.has_magic(source):
        raise PoolError(f"there is no file `{source}`", _nearby(source))
    # `Path.glob` takes no absolute patterns.
    found = glob.glob(source, recursive=True)  # noqa: PTH207
    matches = sorted(path for path in found if Path(path).is_file())
    if not matches:
        raise PoolError(f"no file matches `{source}`", "quote the pattern, and look at the folder")
    return [_file(path) for path in matches]


def _file(path: str) -> PoolFile:
    found = kind_of(path)
    if found is None:
        raise PoolError(f"`{path}` is of a kind that is not read", _READS)
    return PoolFile(path, *found)


def _folder(folder: Path, split: str) -> list[PoolFile]:
    if (folder / "dataset_dict.json").is_file():
        return _split(folder, split)
    if (folder / "state.json").is_file():
        return _saved(folder)
    files = [
        PoolFile(str(path), *found)
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith((".", "_")) and (found := kind_of(path))
    ]
    if not files:
        files = _hub_layout(folder, split)
    kinds = sorted({file.kind for file in files})
    if not files:
        raise PoolError(f"the folder `{folder}` holds no file that is read", _READS)
    if len(kinds) > 1:
        raise PoolError(
            f"the folder `{folder}` holds files of several kinds ({', '.join(kinds)})",
            f"name the ones to read, for example `{folder}/*.{kinds[0]}`",
        )
    return files


def _hub_layout(folder: Path, split: str) -> list[PoolFile]:
    """List the files of a dataset folder as the hub has it: `data/SPLIT-00000-of-00001.parquet`."""
    found = {
        path: kind
        for path in sorted((folder / "data").glob("*-*-of-*.*"))
        if path.is_file() and (kind := kind_of(path))
    }
    splits = sorted({path.name.split("-")[0] for path in found})
    if found and split not in splits:
        raise PoolError(
            f"`{folder}` has no split `{split}`",
            f"name one with `--split`: {', '.join(f'`{name}`' for name in splits)}",
        )
    return [
        PoolFile(str(path), *kind)
        for path, kind in found.items()
        if path.name.split("-")[0] == split
    ]


def _split(folder: Path, split: str) -> list[PoolFile]:
    splits = json.loads((folder / "dataset_dict.json").read_text("utf-8")).get("splits", [])
    if split not in splits:
        raise PoolError(
            f"`{folder}` has no split `{split}`",
            f"name one with `--split`: {', '.join(f'`{name}`' for name in splits)}",
        )
    return _saved(folder / split)


def _saved(folder: Path) -> list[PoolFile]:
    """List the files of a dataset written by `save_to_disk`, in the order of its `state.json`."""
    try:
        state = json.loads((folder / "state.json").read_text("utf-8"))
        names = [entry["filename"] for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise PoolError(
            f"`{folder / 'state.json'}` does not list the files of a saved dataset",
            "save the dataset again with `save_to_disk`, or export it with `to_parquet`",
        ) from None
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise PoolError(
            f"`{folder}` lacks `{missing[0]}`, which its state.json names",
            "copy the whole folder, or save the dataset again",
        )
    return [PoolFile(str(folder / name), "arrow") for name in names]


def _nearby(source: str) -> str:
    from difflib import get_close_matches

    folder = Path(source).parent
    if not folder.is_dir():
        return f"there is no folder `{folder}` either"
    names = [entry.name for entry in folder.iterdir()]
    close = get_close_matches(Path(source).name, names, n=1)
    return f"did you mean `{folder / close[0]}`?" if close else "look at the path"
