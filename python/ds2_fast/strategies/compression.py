"""ZIP: samples that compress badly together."""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, among, option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ds2_fast.strategies.inputs import Inputs

LEVEL = 9
TASK = 64
"""Samples that a thread takes at a time."""


@dataclass(frozen=True)
class Zip(Strategy):
    """The samples that make the set compress least (ZIP, after the entropy law).

    The ratio of a set is its bytes over those of their zlib compression (level 9), each text ended
    by a line end. Until there are n samples: of the k1 candidates whose ratio is lowest as last
    known (at first, each alone), the ratio of all that is taken with each of them added is measured
    anew; the k2 lowest of these go on; and of those k3 are taken one by one, each the lowest with
    what this round has taken. Ties go to the better ranked. What a round considered and did not
    take stays a candidate, as in the paper; the published code drops it.
    """

    name = "zip"
    source = "Yin et al. 2024, arXiv 2407.06645"
    needs = "texts"

    among: float = among()
    k1: int = option(10_000, "Candidates of a round that are measured with all taken.", least=1)
    k2: int = option(200, "Candidates of a round that go on.", least=1)
    k3: int = option(100, "Samples that a round takes.", least=1)

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take in rounds what keeps the ratio low."""
        texts = inputs.texts
        bodies = [f"{texts[row]}\n".encode() for row in candidates.rows.tolist()]
        with ThreadPoolExecutor(inputs.threads or os.cpu_count()) as workers:

            def measure(taken: Archive, places: Sequence[int]) -> NDArray[np.float64]:
                tasks = [places[start : start + TASK] for start in range(0, len(places), TASK)]
                found = workers.map(
                    lambda task: [taken.ratio_with(bodies[place]) for place in task], tasks
                )
                return np.array([ratio for task in found for ratio in task])

            places = self._rounds(bodies, n, measure, inputs)
        return Picked(candidates.rows[places], "what was taken compresses less without it")

    def _rounds(
        self,
        bodies: Sequence[bytes],
        n: int,
        measure: Callable[[Archive, Sequence[int]], NDArray[np.float64]],
        inputs: Inputs,
    ) -> list[int]:
        archive, chosen = Archive(), list[int]()
        left = np.arange(len(bodies))
        known = measure(archive, left.tolist())
        while len(chosen) < n:
            first = _lowest(known, left, self.k1)
            known[first] = measure(archive, first.tolist())
            second = _lowest(known, np.sort(first), self.k2)
            batch, rest = Archive(), sorted(second.tolist())
            for _ in range(min(self.k3, len(rest), n - len(chosen))):
                place = rest.pop(int(np.argmin(measure(batch, rest))))
                batch.add(bodies[place])
                archive.add(bodies[place])
                chosen.append(place)
                inputs.progress(len(chosen), n)
            left = np.setdiff1d(left, chosen)
        return chosen


class Archive:
    """Texts compressed one behind the other, to which one more can be tried.

    The compressor is copied for a trial, so that it reads the new text alone: what it gives is the
    length of the compression of the whole.
    """

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(LEVEL)
        self._read = 0
        self._written = 0

    def add(self, body: bytes) -> None:
        """Put a text behind the others."""
        self._read += len(body)
        self._written += len(self._compressor.compress(body))

    def ratio_with(self, body: bytes) -> float:
        """Give bytes over compressed bytes of the texts and one more, without keeping it."""
        trial = self._compressor.copy()
        written = self._written + len(trial.compress(body)) + len(trial.flush())
        return (self._read + len(body)) / written


def _lowest(known: NDArray[np.float64], places: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """The k places of the lowest ratios, ties by place; `places` ascend."""
    return places[np.argsort(known[places], kind="stable")[:k]]
