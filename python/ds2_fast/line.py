"""One stage after another in a run directory, each told as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from ds2_fast import _core
from ds2_fast.progress import Narrator, Progress
from ds2_fast.rundir import Artifact, RunDir, Stage, open_run
from ds2_fast.terminal import duration

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """A run directory and the narrator who tells what happens in it."""

    run: RunDir
    narrator: Narrator

    def stage(
        self,
        name: str,
        artifact: Artifact[T],
        compute: Callable[[Progress], T],
        *,
        inputs: Mapping[str, str],
        params: Mapping[str, Any],
        unit: str,
        told: Callable[[T], str],
    ) -> Stage[T]:
        """Reuse or compute one stage, and say so in one past-tense line.

        Args:
            name: the stage.
            artifact: how its value is kept.
            compute: makes the value, reporting progress in `unit`.
            inputs: digests of what it reads.
            params: parameters that decide the value.
            unit: what the progress counts.
            told: the past-tense sentence about a value.
        """
        with self.narrator.stage(name, unit) as progress:
            stage = self.run.stage(
                name, artifact, lambda: compute(progress), inputs=inputs, params=params
            )
        if stage.spoiled:
            files = " and ".join(f"`{file}`" for file in artifact.files)
            self.narrator.warn(f"{files} had been damaged or changed, so `{name}` ran anew")
        when = "reused" if stage.reused else duration(stage.seconds)
        self.narrator.done(name, f"{told(stage.value)} ({when})")
        said = [f"{key} {value}" for key, value in params.items() if value is not None]
        made = f"{', '.join(artifact.files)}, digest {stage.digest}"
        self.narrator.detail("; ".join([", ".join(said), made] if said else [made]))
        return stage


@contextmanager
def open_line(folder: Path | None, narrator: Narrator) -> Iterator[Line]:
    """Open the run directory `folder`, or a throw-away one if it is None."""
    if folder is None:
        with (
            TemporaryDirectory(prefix="ds2-fast-") as temporary,
            open_run(Path(temporary), _core.__version__) as run,
        ):
            yield Line(run, narrator)
        return
    with open_run(folder, _core.__version__) as run:
        yield Line(run, narrator)


def default_run_dir(source: str) -> Path:
    """Name the run directory of a pool: `<stem>.ds2` beside the file, folder or pattern."""
    if source == "-":
        return Path("stdin.ds2")
    path = Path(source).absolute()
    while any(sign in path.name for sign in "*?["):  # a pattern: beside the folder it looks in
        path = path.parent
    stem = path.name.split(".")[0] or path.name.lstrip(".") or "pool"
    return path.with_name(f"{stem}.ds2")
