"""How each stage's value is kept in the run directory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.calibration import Calibration
from ds2_fast.curation import Curated
from ds2_fast.knn import GraphInfo, Neighbors
from ds2_fast.projection import Projection
from ds2_fast.rundir import Artifact, json_bytes
from ds2_fast.spaces import SpaceComparison
from ds2_fast.transition import Transition
from ds2_fast.uncertainty import Intervals

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.bought import Bought
    from ds2_fast.choice import Choice
    from ds2_fast.losses import Losses
    from ds2_fast.raters import Combined
    from ds2_fast.rating.result import Ratings
    from ds2_fast.tagging import Tags

Paths = tuple[Path, ...]


def _save_npy(array: NDArray[Any], file: Path) -> None:
    with file.open("wb") as handle:
        np.save(handle, array, allow_pickle=False)


def _save_json(value: object, file: Path) -> None:
    file.write_bytes(json_bytes(value))


def _arrays_to_lists(value: object) -> object:
    """Make nested lists of the arrays of a dataclass or dict; floats survive JSON to the bit."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _arrays_to_lists(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_arrays_to_lists(item) for item in value]
    return value


def _move_npy(source: Path, paths: Paths) -> None:
    shutil.move(source, paths[0])


def _embeddings(file: str) -> Artifact[Any]:
    """Saved from the path of a finished file, loaded as a read-only memory map."""
    return Artifact((file,), _move_npy, lambda paths: np.load(paths[0], mmap_mode="r"))


EMBEDDINGS = _embeddings("embeddings.npy")
SAMPLE_EMBEDDINGS = _embeddings("sample_embeddings.npy")


def _save_half(value: NDArray[np.float32], paths: Paths) -> None:
    _save_npy(value.astype(np.float16), paths[0])


def _features(file: str) -> Artifact[NDArray[Any]]:
    """Feature rows, kept as float16 (neighbors agree to 99.98 %, in half the space)."""
    return Artifact((file,), _save_half, lambda paths: np.load(paths[0], mmap_mode="r"))


LEXICAL = _features("lexical.npy")
HYBRID = _features("hybrid.npy")

SPACES: Artifact[SpaceComparison] = Artifact(
    ("spaces.json",),
    lambda value, paths: _save_json(value.to_dict(), paths[0]),
    lambda paths: SpaceComparison.from_dict(json.loads(paths[0].read_text("utf-8"))),
)


def _save_neighbors(value: Neighbors, paths: Paths) -> None:
    _save_npy(value.indices, paths[0])
    _save_npy(value.similarities, paths[1])
    info = None if value.info is None else value.info.to_dict()
    # What it took is in the manifest: these bytes must not depend on the day.
    _save_json(info and {**info, "seconds": 0.0}, paths[2])


def _load_neighbors(paths: Paths) -> Neighbors:
    stored = json.loads(paths[2].read_text("utf-8"))
    info = None if stored is None else GraphInfo.from_dict(stored)
    return Neighbors(np.load(paths[0], mmap_mode="r"), np.load(paths[1], mmap_mode="r"), info)


NEIGHBORS: Artifact[Neighbors] = Artifact(
    ("neighbors.npy", "similarities.npy", "neighbors.json"),
    _save_neighbors,
    _load_neighbors,
    version=2,
)

INDEX: Artifact[Any] = Artifact(
    ("index.usearch",),
    lambda index, paths: index.save(paths[0]),
    lambda paths: paths[0],
)
"""Saved from an `Hnsw`, loaded as the path of the finished file."""


def _save_transition(value: Transition, paths: Paths) -> None:
    # The counts besides the frequencies: they come back to the last bit.
    _save_json({**value.to_dict(), "counts": value.counts.tolist()}, paths[0])


def _load_transition(paths: Paths) -> Transition:
    stored = json.loads(paths[0].read_text("utf-8"))
    fields = {field.name: stored[field.name] for field in dataclasses.fields(Transition)}
    for name in ("T", "p", "counts"):
        fields[name] = np.array(fields[name], dtype=np.float64)
    for name in ("unidentified", "ambiguous", "warnings"):
        fields[name] = tuple(fields[name])
    return Transition(**fields)


TRANSITION: Artifact[Transition] = Artifact(
    ("transition.json",), _save_transition, _load_transition, version=2
)


def _load_intervals(paths: Paths) -> Intervals:
    stored = json.loads(paths[0].read_text("utf-8"))
    del stored["conditions"]
    arrays = {name: np.array(item) for name, item in stored.items() if isinstance(item, list)}
    return Intervals(**{**stored, **arrays})


INTERVALS: Artifact[Intervals] = Artifact(
    ("intervals.json",), lambda value, paths: _save_json(value.to_dict(), paths[0]), _load_intervals
)

CALIBRATION: Artifact[Calibration] = Artifact(
    ("calibration.json",),
    lambda value, paths: _save_json(value.to_dict(), paths[0]),
    lambda paths: Calibration.from_dict(json.loads(paths[0].read_text("utf-8"))),
)


def _save_curated(value: Curated, paths: Paths) -> None:
    import polars as pl

    columns = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    arrays = {name: item for name, item in columns.items() if isinstance(item, np.ndarray)}
    rest = {name: item for name, item in columns.items() if name not in arrays}
    pl.DataFrame(arrays).write_parquet(paths[0])
    _save_json(_arrays_to_lists(rest), paths[1])


def _load_curated(paths: Paths) -> Curated:
    import polars as pl

    arrays: dict[str, Any] = {s.name: s.to_numpy() for s in pl.read_parquet(paths[0])}
    rest = json.loads(paths[1].read_text("utf-8"))
    rest = {key: tuple(item) if isinstance(item, list) else item for key, item in rest.items()}
    return Curated(**arrays, **rest)


CURATED: Artifact[Curated] = Artifact(
    ("curated.parquet", "curation.json"), _save_curated, _load_curated, version=2
)


def _save_combined(value: Combined, paths: Paths) -> None:
    import polars as pl

    arrays = {key: item for key, item in vars(value).items() if isinstance(item, np.ndarray)}
    pl.DataFrame(arrays).write_parquet(paths[0])
    _save_json({"num_classes": value.num_classes}, paths[1])


def _load_combined(paths: Paths) -> Combined:
    import polars as pl

    from ds2_fast.raters import Combined

    arrays: dict[str, Any] = {s.name: s.to_numpy() for s in pl.read_parquet(paths[0])}
    return Combined(**arrays, **json.loads(paths[1].read_text("utf-8")))


COMBINED: Artifact[Combined] = Artifact(
    ("combined.parquet", "combined.json"), _save_combined, _load_combined
)
"""One score of several raters."""

LONGTAIL: Artifact[NDArray[np.float64]] = Artifact(
    ("longtail.npy",),
    lambda value, paths: _save_npy(value, paths[0]),
    lambda paths: np.load(paths[0]),
)


def _save_projection(value: Projection, paths: Paths) -> None:
    _save_npy(value.places, paths[0])
    _save_json({"explained": value.explained}, paths[1])


PROJECTION: Artifact[Projection] = Artifact(
    ("map.npy", "map.json"),
    _save_projection,
    lambda paths: Projection(np.load(paths[0]), **json.loads(paths[1].read_text("utf-8"))),
)


def _save_selection(value: Choice, paths: Paths) -> None:
    import polars as pl

    sheet = value.sheet
    sheet.write_parquet(paths[0])
    chosen = sheet.filter(pl.col("ds2_selected")).sort("ds2_rank")["ds2_index"]
    paths[1].write_bytes("".join(f"{row}\n" for row in chosen).encode())
    _save_json(value.account, paths[2])


def _load_selection(paths: Paths) -> Choice:
    import polars as pl

    from ds2_fast.choice import Choice

    return Choice(pl.read_parquet(paths[0]), json.loads(paths[2].read_text("utf-8")))


SELECTION: Artifact[Choice] = Artifact(
    ("scores.parquet", "selected.txt", "selection.json"),
    _save_selection,
    _load_selection,
    version=3,
)
"""One row per pool row, in pool order; the chosen rows' numbers, best first; what was removed."""


def _save_ratings(value: Ratings, paths: Paths) -> None:
    value.frame.write_parquet(paths[0])
    _save_json({"num_classes": value.num_classes, "summary": value.summary}, paths[1])


def _load_ratings(paths: Paths) -> Ratings:
    import polars as pl

    from ds2_fast.rating.result import Ratings

    return Ratings(frame=pl.read_parquet(paths[0]), **json.loads(paths[1].read_text("utf-8")))


RATINGS: Artifact[Ratings] = Artifact(
    ("ratings.parquet", "ratings.json"), _save_ratings, _load_ratings, version=2
)
"""Made from the journal `ratings.jsonl`, which is kept beside them."""


def _save_bought(value: Bought, paths: Paths) -> None:
    value.frame.write_parquet(paths[0])
    rest = {name: getattr(value, name) for name in ("num_classes", "account", "summary")}
    _save_json(rest, paths[1])


def _load_bought(paths: Paths) -> Bought:
    import polars as pl

    from ds2_fast.bought import Bought

    return Bought(frame=pl.read_parquet(paths[0]), **json.loads(paths[1].read_text("utf-8")))


BOUGHT: Artifact[Bought] = Artifact(("budget.parquet", "budget.json"), _save_bought, _load_bought)
"""Ratings and predictions of a budget, one row per pool row, and what they are worth."""


def _save_losses(value: Losses, paths: Paths) -> None:
    import polars as pl

    pl.DataFrame(vars(value)).write_parquet(paths[0])


def _load_losses(paths: Paths) -> Losses:
    import polars as pl

    from ds2_fast.losses import Losses

    arrays = {s.name: s.to_numpy() for s in pl.read_parquet(paths[0])}
    return Losses(**{**arrays, "status": arrays["status"].astype(np.str_)})


LOSSES: Artifact[Losses] = Artifact(("losses.parquet",), _save_losses, _load_losses)
"""Made from the journal `losses.jsonl`, which is kept beside them."""


def _save_tags(value: Tags, paths: Paths) -> None:
    value.frame.write_parquet(paths[0])
    _save_json(value.summary, paths[1])


def _load_tags(paths: Paths) -> Tags:
    import polars as pl

    from ds2_fast.tagging import Tags

    return Tags(pl.read_parquet(paths[0]), json.loads(paths[1].read_text("utf-8")))


TAGS: Artifact[Tags] = Artifact(("tags.parquet", "tags.json"), _save_tags, _load_tags)
"""Made from the journal `tags.jsonl`, which is kept beside them."""


def digest_array(array: NDArray[Any]) -> str:
    """A digest of an array's dtype, shape and bytes."""
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def digest_columns(*columns: pl.Series | None) -> str:
    """A digest of the values of several columns, whatever their names."""
    digest = hashlib.blake2b(digest_size=16)
    for column in columns:
        values = None if column is None else column.to_list()
        digest.update(f"{json.dumps(values, default=str)}\n".encode())
    return digest.hexdigest()


def digest_rows(rows: Iterable[object]) -> str:
    """A digest of JSON-able values, one after another."""
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(f"{json.dumps(row)}\n".encode())
    return digest.hexdigest()
