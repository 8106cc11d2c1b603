"""What a run was made from: written into its manifest, and found again later."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import artifacts
from ds2_fast.errors import PoolError, RunError
from ds2_fast.features import Features
from ds2_fast.line import Line, default_run_dir
from ds2_fast.rundir import AGAIN
from ds2_fast.terminal import duration

if TYPE_CHECKING:
    from ds2_fast.pool import Pool
    from ds2_fast.progress import Narrator

_MADE = {
    "embedding": artifacts.EMBEDDINGS,
    "lexical": artifacts.LEXICAL,
    "hybrid": artifacts.HYBRID,
}


def open_pool(
    data: object,
    run_dir: str | Path | None,
    options: Mapping[str, Any] | None,
    narrator: Narrator,
) -> tuple[Pool, Path | None]:
    """Read the pool, tell what was found, and decide where the run is kept.

    Args:
        data: the pool, in any form that `ds2_fast.pool.read_pool` takes.
        run_dir: the run directory; None for the one beside the pool.
        options: how the pool is read.
        narrator: is told what was found.

    Returns:
        the pool, and the run directory: None for data in memory.

    Raises:
        PoolError: if the pool cannot be read.
    """
    from ds2_fast.pool import read_pool

    started = perf_counter()
    pool = read_pool(data, **(options or {}))
    narrator.done("pool", f"read {len(pool):,} samples ({duration(perf_counter() - started)})")
    narrator.note(f"{pool.schema.verdict}\n{pool.preview()}")
    for notice in pool.notices:
        narrator.warn(notice)
    if run_dir is not None:
        return pool, Path(run_dir)
    if not pool.sources:
        return pool, None
    return pool, default_run_dir(pool.inputs[0])


def record_source(
    line: Line, pool: Pool, options: Mapping[str, Any] | None, features: Features
) -> None:
    """Write into the manifest where pool and features came from.

    Args:
        line: the run.
        pool: its pool.
        options: how the pool was read.
        features: its features.
    """
    record_pool(line, pool, options)
    source = features.source
    rows, dim = features.rows.shape
    line.run.manifest["features"] = {
        "space": features.space,
        "source": str(Path(source).absolute()) if Path(source).is_file() else source,
        "digest": features.digest,
        "rows": rows,
        "dimensions": dim,
        "allow_zero": features.allow_zero,
        "embedder": None if features.embedder is None else list(features.embedder),
        "comparison": features.comparison and features.comparison.to_dict(),
    }
    line.run.write_manifest()


def record_pool(line: Line, pool: Pool, options: Mapping[str, Any] | None) -> None:
    """Write into the manifest where the pool came from.

    Args:
        line: the run.
        pool: its pool.
        options: how it was read.
    """
    line.run.manifest["pool"] = {
        "inputs": [name if name == "-" else str(Path(name).absolute()) for name in pool.inputs],
        "options": json.loads(json.dumps(dict(options or {}), default=str)),
        "rows": len(pool),
        "files": [[name, *_state(name)] for name in map(os.path.abspath, pool.sources)],
    }
    line.run.write_manifest()


def _state(name: str) -> tuple[int, int]:
    """Size and time of a file, which change when it does; zeros if it is none."""
    try:
        state = Path(name).stat()
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns


def reopen_pool(run: Path, manifest: Mapping[str, Any]) -> Pool:
    """Read the pool of a run once more.

    Raises:
        RunError: if the manifest does not tell of it, it was not in files, or they have changed.
        PoolError: if it cannot be read any more.
    """
    from ds2_fast.pool import read_pool

    stored = _part(run, manifest, "pool")
    if not stored["files"] or stored["inputs"] == ["-"]:
        raise RunError(f"the pool of `{run}` was not in files", "keep it in a file and run again")
    for name, *state in stored["files"]:
        if list(_state(name)) != state:
            raise RunError(f"`{name}` is gone or has changed since the run `{run}`", AGAIN)
    pool = read_pool(stored["inputs"], **stored["options"])
    if len(pool) != stored["rows"]:
        raise RunError(f"the pool of `{run}` has changed since the run", AGAIN)
    return pool


def reopen_features(run: Path, manifest: Mapping[str, Any]) -> Features:
    """Map the features of a run into memory once more.

    Args:
        run: the run directory.
        manifest: its manifest.

    Raises:
        RunError: if the manifest does not tell of them, or they are gone or have changed.
        PoolError: if features that were given cannot be read any more.
    """
    stored = _part(run, manifest, "features")
    rows = _rows(run, manifest, stored)
    shape = (stored["rows"], stored["dimensions"])
    if rows.shape != shape:
        raise RunError(f"the features of `{run}` are {rows.shape}, not {shape}", AGAIN)
    embedder = stored["embedder"]
    return Features(
        rows,
        stored["digest"],
        stored["space"],
        stored["source"],
        stored["allow_zero"],
        None if embedder is None else (embedder[0], embedder[1]),
    )


def _rows(run: Path, manifest: Mapping[str, Any], stored: Mapping[str, Any]) -> NDArray[Any]:
    made = _MADE.get(stored["space"])
    if made is None:
        return _given(run, manifest, stored)
    file = run / made.files[0]
    stage = manifest["stages"].get(stored["space"])
    if not file.is_file() or stage is None or stage["digest"] != stored["digest"]:
        raise RunError(f"`{file}` is not the one of the last run", AGAIN)
    try:
        rows: NDArray[Any] = made.load((file,))
    except (OSError, ValueError) as error:
        raise RunError(f"`{file}` is damaged: {error}", AGAIN) from error
    return rows


def _given(run: Path, manifest: Mapping[str, Any], stored: Mapping[str, Any]) -> NDArray[Any]:
    """Read features that the user had; the run directory keeps no copy of them."""
    from ds2_fast.pool import read_embeddings

    source = stored["source"]
    if source == "array":
        raise RunError(
            f"the embeddings of `{run}` were an array in memory",
            "save it with `numpy.save`, and run again with `--embeddings FILE.npy`",
        )
    if Path(source).suffix == ".npy" and Path(source).is_file():
        rows = np.load(source, mmap_mode="r")
        if artifacts.digest_array(rows) == stored["digest"]:
            return np.asanyarray(rows)
    pool = reopen_pool(run, manifest)
    try:
        rows = read_embeddings(pool, source).values
    except PoolError as error:
        raise RunError(f"the embeddings of `{run}`: {error.message}", error.hint) from error
    if artifacts.digest_array(rows) != stored["digest"]:
        raise RunError(f"`{source}` has changed since the run `{run}`", AGAIN)
    return rows


def _part(run: Path, manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = manifest.get(name)
    strategy = manifest["stages"].get("selection", {}).get("params", {}).get("name")
    if part is None and name == "features" and strategy is not None:
        raise RunError(
            f"`{run}` has no features: its strategy `{strategy}` did not look at any",
            f"make some with `ds2-fast embed POOL --run-dir {run}`",
        )
    if not isinstance(part, Mapping):
        raise RunError(f"`{run}` does not tell of its {name}: it was not run to there", AGAIN)
    return part
