"""One rating run in a process of its own, to be killed: BASE JOURNAL COUNT TRANSPORT.

The pool is made as it is read, so that memory is the engine's. The last line on stdout tells what
was asked and the highest resident memory.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from ds2_fast.rating import rate

MODEL = "openai/rater"
SAMPLE = "A sentence of the sample that is to be rated, neither short nor long. " * 17


class MadePool(Sequence[list[tuple[str, str]]]):
    """`count` samples of about 1.2 kB, none of them kept."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    @overload
    def __getitem__(self, row: int) -> list[tuple[str, str]]: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[list[tuple[str, str]]]: ...
    def __getitem__(self, row: int | slice) -> object:
        """Make one sample, or several."""
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(self._count))]
        if not 0 <= row < self._count:
            raise IndexError(row)
        return [("user", f"Question {row}?"), ("assistant", f"{row}. {SAMPLE}")]


def main() -> None:
    base, journal, count, transport = sys.argv[1:]
    result = rate(
        MadePool(int(count)), MODEL, api_base=base, journal_path=Path(journal), transport=transport
    )
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "requests": result.summary["requests"],
        "rated": result.summary["rated"],
        "peak_mb": round(used.ru_maxrss / 1024, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
