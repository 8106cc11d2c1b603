"""The usearch indexes of a run: one of its pool, one of what was added."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast import _core
from ds2_fast.atomic import atomic_path
from ds2_fast.errors import RunError
from ds2_fast.graphing import make_index
from ds2_fast.knn.hnsw import DEFAULT_SETTINGS, Hnsw, IndexFailedError
from ds2_fast.knn.indexed import FIRST_EXPANSION, measure_index
from ds2_fast.knn.recall import Recall, RecallMissedError
from ds2_fast.knn.request import Request
from ds2_fast.line import Line
from ds2_fast.pool_index.added import TABLE, Added
from ds2_fast.rundir import RunDir, digest_files, open_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ds2_fast.features import Features
    from ds2_fast.progress import Narrator

ADDED_INDEX = "added.usearch"
_TESTED_K = 10


@dataclass(frozen=True)
class StoredIndexes:
    """Open indexes of a run; made by `open_indexes`.

    The pool's own is never added to: it is the artifact of a stage, the same bytes for the same
    embeddings, and graphs are taken from it. What was added has an index beside it that grows.

    Attributes:
        pool: keys are rows of the pool.
        added: keys count from 0 in the order of adding.
        expansion: candidates to look at.
        recall: what was measured with it, for 10 neighbors.
    """

    pool: Hnsw
    added: Hnsw
    expansion: int
    recall: Recall

    def candidates(
        self, queries: NDArray[Any], count: int, rows: int, threads: int | None
    ) -> NDArray[np.int64]:
        """Find candidates for queries: int64 `(m, c)`, added ones from `rows` on, -1 for none."""
        own = self.pool.search(queries, count, expansion=self.expansion, threads=threads)
        more = self.added.search(queries, count, expansion=self.expansion, threads=threads)
        return np.concatenate([own, np.where(more < 0, -1, more + rows)], axis=1)


def open_indexes(
    run: Path, features: Features, added: Added, narrator: Narrator, threads: int | None
) -> StoredIndexes | None:
    """Open the indexes of a run, building what is not there.

    An index that was just built is tested on a sample of rows, and the recall is told, once.

    Args:
        run: the run directory, which no other process may be writing.
        features: its features.
        added: what was added to it.
        narrator: is told what happens.
        threads: at most so many, for the test.

    Returns:
        The indexes; None, which the narrator is told, if the library fails or the index misses a
        recall of .99.

    Raises:
        RunError: if the run directory is in use or cannot be written, or there is no room.
    """
    with open_run(run, _core.__version__) as opened:
        check_current(opened, features)
        line = Line(opened, narrator)
        try:
            stage = make_index(line, features)
            pool = Hnsw.open(stage.value, features.rows.shape[1])
            expansion, recall = _tested(line, pool, features, stage.digest, threads)
            more = _added_index(opened, added)
        except (IndexFailedError, RecallMissedError) as failure:
            narrator.warn(f"{failure}: every sample is compared instead")
            return None
        return StoredIndexes(pool, more, expansion, recall)


def check_current(run: RunDir, features: Features) -> None:
    """See that nobody has run again since the features were opened.

    Raises:
        RunError: if the run has other features now.
    """
    if run.manifest.get("features", {}).get("digest") != features.digest:
        raise RunError(
            f"`{run.path}` has other embeddings than when it was opened", "open it again"
        )


def _tested(
    line: Line, pool: Hnsw, features: Features, digest: str, threads: int | None
) -> tuple[int, Recall]:
    """Measure an index that was not measured yet."""
    manifest, rows = line.run.manifest, features.rows
    known = manifest.get("index", {})
    if known.get("digest") == digest:
        return known["expansion_search"], Recall(**known["recall"])
    k = min(_TESTED_K, len(rows) - 1)
    if k < 1:
        return FIRST_EXPANSION, Recall(1.0, 1.0, 1.0, None)
    request = Request(rows, k, threads=threads, allow_zero=features.allow_zero)
    expansion, recall = measure_index(pool, request)
    parts = {name: getattr(recall, name) for name in ("value", "low", "high", "rows")}
    manifest["index"] = {
        **DEFAULT_SETTINGS.to_dict(),
        "digest": digest,
        "features": features.digest,
        "rows": rows.shape[0],
        "dimensions": rows.shape[1],
        "k": k,
        "expansion_search": expansion,
        "recall": parts,
    }
    line.run.write_manifest()
    line.narrator.done("index", f"tested for {k} neighbors: {recall.tell()}")
    return expansion, recall


def _added_index(run: RunDir, added: Added) -> Hnsw:
    """Open the index of what was added, adding to it what it does not hold yet."""
    dim = added.rows.shape[1]
    file, known = run.path / ADDED_INDEX, run.manifest.get("added", {})
    index = Hnsw(dim)
    whole = file.is_file() and known.get("digest") == digest_files((file,))
    if whole and known["first"] == _digest(added, known["rows"]):
        index = Hnsw.open(file, dim)
    missing = len(index)
    if missing == len(added):
        return index
    index.add(added.rows[missing:], first=missing)
    run.manifest.pop("added", None)
    run.write_manifest()
    with atomic_path(file) as temporary:
        index.save(temporary)
    run.manifest["added"] = {
        "rows": len(index),
        "first": _digest(added, len(index)),
        "digest": digest_files((file,)),
        "table": TABLE,
    }
    run.write_manifest()
    return index


def update_added_index(run: RunDir, added: Added, narrator: Narrator) -> None:
    """Bring the index of what was added up to date, in a run that has an index."""
    if "index" not in run.manifest["stages"]:
        return
    try:
        _added_index(run, added)
    except IndexFailedError as failure:
        narrator.warn(f"{failure}: what was added is in `{TABLE}`, and is compared without it")


def _digest(added: Added, rows: int) -> str:
    from ds2_fast.artifacts import digest_array

    return digest_array(added.rows[:rows])
