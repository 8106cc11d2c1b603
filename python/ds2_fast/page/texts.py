"""The texts of a pool, as far as a page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ds2_fast.terminal import printable

if TYPE_CHECKING:
    from ds2_fast.pool import Pool


class Texts:
    """The texts and ids of samples by their rows.

    Args:
        pool: the samples; None if they cannot be read any more.
    """

    def __init__(self, pool: Pool | None) -> None:
        self._pool = pool
        self._ids = None if pool is None else pool.ids

    @property
    def known(self) -> bool:
        """Whether there are any."""
        return self._pool is not None

    def name(self, row: int) -> str:
        """Name a sample by its id, or by its row."""
        found = None if self._ids is None else self._ids[row]
        return f"row {row}" if found in (None, str(row)) else f"{printable(str(found))}, row {row}"

    def short(self, row: int, most: int) -> str:
        """The first characters of a text in one line; empty where it is not known."""
        return _cut(" ".join(self._start(row, most).split()), most)

    def lines(self, row: int, most: int) -> str:
        """The first characters of a text, its lines as they are; empty where it is not known."""
        return _cut(self._start(row, most).strip(), most)

    def _start(self, row: int, most: int) -> str:
        # Twice as much as is wanted: spaces go.
        return "" if self._pool is None else printable(self._pool.text[row][: 2 * most])


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
