"""Finding samples by their ids, those of the pool and those that were added."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ds2_fast.errors import PoolError

if TYPE_CHECKING:
    from ds2_fast.pool_index.samples import Samples


class Ids:
    """The ids of a run's pool, read when one is first asked for.

    Args:
        samples: the samples of the pool.
        total: how many there are; rows of added samples go on from there.
    """

    def __init__(self, samples: Samples, total: int) -> None:
        self._samples = samples
        self._total = total

    def find(self, name: str, added: Sequence[str | None]) -> int:
        """Give the row of the sample with an id.

        Args:
            name: the id.
            added: ids of the samples that were added, in order.

        Raises:
            PoolError: if none has it, or several have.
        """
        places = [
            *self._rows.get(name, []),
            *(self._total + place for place, own in enumerate(added) if own == name),
        ]
        if not places:
            raise PoolError(f"no sample has the id `{name}`", "ask for it by `--row`")
        if len(places) > 1:
            rows = " and ".join(str(place) for place in places[:2])
            raise PoolError(
                f"{len(places)} samples have the id `{name}`, rows {rows} first",
                "ask for one by `--row`",
            )
        return places[0]

    def check_new(self, ids: Sequence[str | None], added: Sequence[str | None]) -> None:
        """Refuse ids that are there already, or come twice; None is no id.

        Raises:
            PoolError: at the first of them.
        """
        seen = set(added)
        for name in ids:
            if name is None:
                continue
            if name in seen or name in self._rows:
                raise PoolError(
                    f"a sample with the id `{name}` is there already",
                    "leave it out, or give it another id",
                )
            seen.add(name)

    @cached_property
    def _rows(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row, name in enumerate(self._samples.ids()):
            if name is not None:
                found.setdefault(name, []).append(row)
        return found
