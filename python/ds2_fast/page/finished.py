"""The page of a run that was finished before."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.errors import Ds2Error, RunError
from ds2_fast.page.building import PAGE, write_page
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.rundir import AGAIN, read_manifest
from ds2_fast.source import reopen_pool

if TYPE_CHECKING:
    from ds2_fast.pool import Pool


def draw_report(
    run: str | os.PathLike[str],
    file: str | os.PathLike[str] | None = None,
    *,
    narrator: Narrator = QUIET,
) -> Path:
    """Draw what a finished run found as one HTML page that needs no network.

    Args:
        run: the run directory, as `select` and `curate` leave it.
        file: where to; None is `report.html` in the run directory.
        narrator: is told if the pool cannot be read any more: the page then shows no texts.

    Returns:
        The file.

    Raises:
        RunError: if it is no run directory, its run did not finish or was one of an earlier
            version, or the file cannot be written.

    Cost: reading the pool, and about a second.
    """
    folder = Path(run)
    target = folder / PAGE if file is None else Path(file)
    manifest, report = read_manifest(folder), _read(folder / "report.json")
    write_page(report, manifest, reread_pool(folder, manifest, narrator), target)
    return target


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        raise RunError(f"`{file}` is gone or damaged", AGAIN) from None
    if not isinstance(found, dict) or "figures" not in found:
        raise RunError(f"`{file}` has no figures to draw: it is of an earlier version", AGAIN)
    return found


def reread_pool(folder: Path, manifest: Mapping[str, Any], narrator: Narrator) -> Pool | None:
    """Read the pool of a run once more; None, and a warning, if that cannot be.

    Args:
        folder: the run directory.
        manifest: its manifest.
        narrator: is warned.
    """
    try:
        return reopen_pool(folder, manifest)
    except (Ds2Error, OSError) as error:
        narrator.warn(f"texts are not shown: {error}")
        return None
