"""The line of stages, walked without computing or writing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ds2_fast.line import Line
from ds2_fast.progress import QUIET
from ds2_fast.rundir import MANIFEST, SCHEMA, Artifact, RunDir, Stage, read_manifest

T = TypeVar("T")


class NotThereError(Exception):
    """A stage would have to be computed; its name is the argument."""

    @property
    def stage(self) -> str:
        """The stage."""
        return str(self.args[0])


class SeenRun(RunDir):
    """A run directory that is only looked at: what is there is loaded, nothing is written."""

    def stage(
        self,
        name: str,
        artifact: Artifact[T],
        compute: Callable[[], T],
        *,
        inputs: Mapping[str, str],
        params: Mapping[str, Any],
    ) -> Stage[T]:
        """Load a stage.

        Raises:
            NotThereError: if it would have to be computed.
        """

        def refuse() -> NoReturn:
            raise NotThereError(name)

        found = super().stage(name, artifact, refuse, inputs=inputs, params=params)
        self.seen.append(name)
        return found

    @property
    def seen(self) -> list[str]:
        """The stages that were there, in order."""
        names: list[str] = self.__dict__.setdefault("_seen", [])
        return names

    def write_manifest(self) -> None:
        """Write nothing."""


def look_at(folder: Path | None) -> Line:
    """Make the line of a run directory that may not be there.

    Args:
        folder: the run directory; None for data in memory.

    Raises:
        RunError: if its manifest cannot be read.
    """
    known = folder is not None and (folder / MANIFEST).is_file()
    manifest = (
        read_manifest(folder) if known and folder is not None else {"schema": SCHEMA, "stages": {}}
    )
    return Line(SeenRun(folder or Path("nowhere"), manifest), QUIET)
