"""What a run knows about the samples of its pool."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.artifacts import SELECTION
from ds2_fast.errors import Ds2Error
from ds2_fast.source import reopen_pool

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool
    from ds2_fast.progress import Narrator

_COLUMNS = {
    "id": "ds2_id",
    "score": "ds2_score",
    "score_curated": "ds2_score_curated",
    "selected": "ds2_selected",
}


class Samples:
    """The samples of a run's pool; files are read when they are first asked for.

    Args:
        run: the run directory.
        manifest: its manifest.
        narrator: is told what cannot be read any more.
    """

    def __init__(self, run: Path, manifest: Mapping[str, Any], narrator: Narrator) -> None:
        self._run = run
        self._manifest = manifest
        self._narrator = narrator

    def about(self, row: int) -> dict[str, Any]:
        """What is known of one sample: id, score, score_curated, selected, text."""
        found: dict[str, Any] = dict.fromkeys(_COLUMNS)
        if self._sheet is not None:
            for name, column in _COLUMNS.items():
                if column in self._sheet.columns:
                    found[name] = self._sheet[column][row]
        pool = self.pool
        if pool is not None and found["id"] is None and pool.ids is not None:
            found["id"] = pool.ids[row]
        return {**found, "text": None if pool is None else pool.text[row]}

    def ids(self) -> list[str | None]:
        """The id of each sample; empty if they have none."""
        if self._sheet is not None and "ds2_id" in self._sheet.columns:
            return self._sheet["ds2_id"].to_list()
        if self.pool is None or self.pool.ids is None:
            return []
        return self.pool.ids.to_list()

    @cached_property
    def pool(self) -> Pool | None:
        """The pool, if it can still be read."""
        try:
            return reopen_pool(self._run, self._manifest)
        except (Ds2Error, OSError) as error:
            self._narrator.warn(f"texts are not shown: {error}")
            return None

    @cached_property
    def _sheet(self) -> pl.DataFrame | None:
        """The scores, if the run went so far and they are of this pool."""
        import polars as pl

        file = self._run / SELECTION.files[0]
        if not file.is_file() or "selection" not in self._manifest["stages"]:
            return None
        sheet = pl.read_parquet(file)
        return sheet if len(sheet) == self._manifest["pool"]["rows"] else None
