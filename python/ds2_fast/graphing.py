"""The neighbor graph and the index of a run: by which method, with room for it, and told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ds2_fast import artifacts
from ds2_fast.knn import MethodName, Neighbors, choose_method, need_of
from ds2_fast.knn.finding import METHODS, run
from ds2_fast.knn.hnsw import DEFAULT_SETTINGS, Hnsw, IndexFailedError, survives, version
from ds2_fast.knn.indexed import find_in
from ds2_fast.knn.request import Request
from ds2_fast.presets import GRAPH_WIDTH
from ds2_fast.progress import Progress
from ds2_fast.room import available_memory, check_room
from ds2_fast.rundir import Stage

if TYPE_CHECKING:
    from ds2_fast.features import Features
    from ds2_fast.line import Line


def make_graph(
    line: Line,
    features: Features,
    k: int,
    *,
    method: MethodName,
    recall: float,
    threads: int | None,
) -> Stage[Neighbors]:
    """Find the neighbors of every sample, or reuse them.

    The manifest holds, under `graph`, how they were found. What the user should know about it is
    said each time, also of a graph that is reused.

    Args:
        line: where the artifacts go.
        features: rows to seek neighbors in.
        k: neighbors per sample, fewer than there are samples.
        method: a name of `MethodName`, checked.
        recall: share of the true neighbors that is enough, checked.
        threads: at most so many; None for all.

    Raises:
        RunError: if there is not enough memory or disk.
    """
    rows = len(features.rows)
    chosen, why = choose_method(method, rows, recall)
    inputs, find = {"features": features.digest}, METHODS[chosen].find
    notices: tuple[str, ...] = ()
    if chosen == "usearch":
        try:
            index = make_index(line, features, k)
        except IndexFailedError as failure:
            notices = (f"{failure}: the neighbors are found exactly instead",)
            chosen, why, find = "exact", "`usearch` failed", METHODS["exact"].find
        else:
            inputs["index"] = index.digest
            dim = features.rows.shape[1]

            def find(request: Request) -> Neighbors:
                return find_in(Hnsw.open(index.value, dim), request)

    def compute(progress: Progress) -> Neighbors:
        _check_graph_room(line, features, chosen, k)
        request = Request(features.rows, k, recall, threads, features.allow_zero, progress)
        # Why it was chosen is of this run, not of the graph, which the next run may reuse.
        return run(chosen, find, request, asked=chosen, why="asked for")

    params = {"k": k, "allow_zero": features.allow_zero, "method": chosen}
    if METHODS[chosen].measured:
        params["recall"] = recall
    stage = line.stage(
        "neighbors",
        artifacts.NEIGHBORS,
        compute,
        inputs=inputs,
        params=params,
        unit="rows",
        told=lambda found: (
            f"found {k} neighbors of {rows:,} samples"
            + (f" {found.info.tell()}" if found.info else "")
        ),
    )
    return _completed(line, stage, asked=method, why=why, notices=notices)


def _completed(
    line: Line, stage: Stage[Neighbors], *, asked: str, why: str, notices: tuple[str, ...]
) -> Stage[Neighbors]:
    """Say what the user should know, and write down how the graph was found."""
    graph, manifest = stage.value, line.run.manifest
    if graph.info is None:
        return stage
    info = replace(
        graph.info,
        asked=asked,
        why=why if graph.info.why == "asked for" else graph.info.why,
        notices=(*notices, *graph.info.notices),
        seconds=manifest["stages"]["neighbors"]["seconds"],
    )
    for notice in info.notices:
        line.narrator.warn(notice)
    manifest["graph"] = info.to_dict()
    line.run.write_manifest()
    return replace(stage, value=replace(graph, info=info))


def make_index(line: Line, features: Features, k: int = 0) -> Stage[Path]:
    """Build the run's index of its rows, or reuse it.

    One thread adds the rows in order, so that the same rows give the same index.

    Args:
        line: where it goes: `index.usearch`.
        features: the rows.
        k: neighbors of the graph that will be taken from it, for which there must be room too.

    Returns:
        The path of the finished file.

    Raises:
        IndexFailedError: the library cannot be loaded, or failed.
        RunError: if there is not enough memory or disk.
    """
    rows, dim = features.rows.shape

    def compute(progress: Progress) -> Hnsw:
        _check_graph_room(line, features, "usearch", k)
        Request(features.rows, 1, allow_zero=features.allow_zero).check()
        survives()
        index = Hnsw(dim)
        index.add(features.rows, progress=progress)
        return index

    known = line.run.manifest["stages"].get("index")
    if known and known["inputs"] != {"features": features.digest}:
        line.narrator.warn("`index.usearch` belongs to other embeddings, so it is built anew")
    return line.stage(
        "index",
        artifacts.INDEX,
        compute,
        inputs={"features": features.digest},
        params={
            **DEFAULT_SETTINGS.to_dict(),
            "rows": rows,
            "dimensions": dim,
            "library": f"usearch {version()}",
        },
        unit="rows",
        told=lambda _: f"indexed {rows:,} samples in {artifacts.INDEX.files[0]}",
    )


def _check_graph_room(line: Line, features: Features, method: str, k: int) -> None:
    rows, dim = features.rows.shape
    need = need_of(method, rows, dim, k)
    how = "exactly" if method == "exact" else f"with `--knn {method}`"
    check_room(
        f"finding {k} neighbors of {rows:,} samples {how}"
        if k
        else f"an index of {rows:,} samples",
        memory=need.memory,
        disk=need.disk,
        folder=line.run.path,
        mend=_mend(method, rows, dim, k),
    )


def _mend(method: str, rows: int, dim: int, k: int) -> str:
    """Name the option that takes less memory: another method, fewer neighbors, fewer rows."""
    free = available_memory() or 0
    for other in METHODS:
        if other != method and need_of(other, rows, dim, k).memory <= free:
            return f"use `--knn {other}`, or free some memory"
    if k > GRAPH_WIDTH and need_of(method, rows, dim, GRAPH_WIDTH).memory <= free:
        return f"use a smaller `-k`: up to {GRAPH_WIDTH} there is room for"
    return "free some memory or allow more of it, or select from a part of the pool"
