"""What the user gets besides the run directory: subsets, their cards, the atlas."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.atomic import atomic_path
from ds2_fast.card import Subset, write_card
from ds2_fast.sizes import sized

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.choice import Choice
    from ds2_fast.line import Line
    from ds2_fast.pool import Pool, Shape


@dataclass(frozen=True)
class Delivery:
    """What is asked for.

    Attributes:
        output: file or dataset folder of the subset.
        add_columns: add the `ds2_` columns to it.
        to: the shape it is converted to.
        card: file of its card.
        atlas: file of the whole pool for a viewer.
    """

    output: str | Path | None
    add_columns: bool
    to: Shape | None
    card: str | Path | None
    atlas: str | Path | None

    @property
    def is_folder(self) -> bool:
        """Whether the output is a dataset folder: it is one already, or ends in a slash."""
        if self.output is None:
            return False
        return str(self.output).endswith(("/", os.sep)) or Path(self.output).is_dir()

    def plan(self, pool: Pool, sizes: tuple[int, ...]) -> dict[int, Path]:
        """Name one file or folder per size, and see that all can be written before any work.

        Args:
            pool: the pool.
            sizes: the subset sizes.

        Raises:
            PoolError: a file would be one of the pool's, or its kind or shape cannot be.
            RunError: a file cannot be written.
        """
        from ds2_fast.pool import check_folder, check_output, check_shape

        if self.to is not None:
            check_shape(pool, self.to)
        files = _named(self.output, sizes)
        for file in files.values():
            (check_folder if self.is_folder else check_output)(pool, file)
        for card in _named(self.card, sizes).values():
            check_output(pool, card, suffix=".md")
        if self.atlas is not None:
            check_output(pool, self.atlas, suffix=".parquet")
        return files

    def write(
        self,
        line: Line,
        pool: Pool,
        choice: Choice,
        *,
        report: dict[str, Any],
        files: dict[int, Path],
    ) -> None:
        """Write everything, and say so.

        Args:
            line: the run.
            pool: its pool.
            choice: the score sheet.
            report: the report of the run.
            files: what `plan` named.

        Raises:
            PoolError: a sample does not fit the shape.
            RunError: a file cannot be written, or the disk is full.
        """
        self._write_subsets(line, pool, choice.sheet, report, files)
        if self.atlas is not None:
            from ds2_fast.atlas import write_atlas

            write_atlas(pool, choice.sheet, self.atlas)
            line.narrator.done("wrote", f"{len(pool):,} samples on a map to {self.atlas}")

    def _write_subsets(
        self,
        line: Line,
        pool: Pool,
        sheet: pl.DataFrame,
        report: dict[str, Any],
        files: dict[int, Path],
    ) -> None:
        from ds2_fast.pool import write_dataset, write_subset

        indices, cards = chosen_rows(sheet), _named(self.card, tuple(report["settings"]["n"]))
        columns = self._columns(line, pool, sheet, indices) if files or cards else []
        for size in sorted({*files, *cards}):
            rows, file = indices[:size], files.get(size)
            added = added_columns(sheet)[rows] if self.add_columns else None
            name = str(file or cards[size].with_suffix(""))
            subset = Subset(len(rows), columns, self.to, name, self.is_folder)
            card = write_card(report, line.run.manifest, subset)
            if file is not None and self.is_folder:
                write_dataset(pool, rows, file, card=card, add_columns=added, to=self.to)
            elif file is not None:
                write_subset(pool, rows, file, add_columns=added, to=self.to)
            if file is not None:
                line.narrator.done("wrote", f"{len(rows):,} samples to {file}")
            if len(rows) < size and len(files) > 1:
                line.narrator.warn(
                    f"`{file}` is named for {size:,} samples, and holds the {len(rows):,} there are"
                )
            if size in cards:
                with atomic_path(cards[size]) as temporary:
                    temporary.write_text(card, "utf-8", newline="\n")
                line.narrator.done("wrote", f"their card to {cards[size]}")

    def _columns(
        self, line: Line, pool: Pool, sheet: pl.DataFrame, rows: NDArray[np.uint32]
    ) -> list[str]:
        """Name the columns that are written, and say what a conversion leaves out."""
        from ds2_fast.pool import convert_rows

        added = added_columns(sheet).columns if self.add_columns else []
        if self.to is None:
            own = [name for name in pool.frame.columns if name != "_source" or not pool.adds_source]
            return [*own, *added]
        converted = convert_rows(pool, rows, self.to)
        if converted.note:
            line.narrator.note(f"{self.to}: {converted.note}")
        return [*converted.frame.columns, *added]


def _named(path: str | Path | None, sizes: tuple[int, ...]) -> dict[int, Path]:
    if path is None:
        return {}
    return {size: Path(path) if len(sizes) == 1 else sized(Path(path), size) for size in sizes}


def added_columns(sheet: pl.DataFrame) -> pl.DataFrame:
    """Give the columns of the sheet that a subset may get: what viewers look at is not for it."""
    import polars as pl

    return sheet.select(pl.col("^ds2_.*$"))


def chosen_rows(sheet: pl.DataFrame) -> NDArray[np.uint32]:
    """Give the selected rows, best first.

    Args:
        sheet: the score sheet.

    Returns:
        uint32 `(n,)`.
    """
    import polars as pl

    rows = (
        sheet.lazy().filter(pl.col("ds2_selected")).sort("ds2_rank").select("ds2_index").collect()
    )
    return rows["ds2_index"].to_numpy()
