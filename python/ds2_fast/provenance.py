"""What decided a run besides its stages, written into its manifest for `ds2_fast.verifying`."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast import _core, artifacts
from ds2_fast.errors import RunError
from ds2_fast.rundir import AGAIN, RunDir, digest_files
from ds2_fast.scoring import JOURNAL

if TYPE_CHECKING:
    from ds2_fast.gathering import Gathered, Wanted
    from ds2_fast.pool import Pool

LIBRARIES = ("numpy", "polars", "onnxruntime", "tokenizers", "usearch", "litellm")


def record_provenance(
    run: RunDir,
    pool: Pool,
    wanted: Wanted,
    gathered: Gathered,
    *,
    audit: str | Path | None,
    report: str,
) -> None:
    """Write down the bytes a finished run stood on, and the versions that read them.

    Seeds, presets and shares are in `settings`; the prompt, the model and its parameters are
    parameters of the stage `rating` or `budget`.

    Args:
        run: the run directory.
        pool: its pool.
        wanted: where scores and features were to come from.
        gathered: the scores and features that were taken or made.
        audit: file of a person's scores.
        report: name of the report in the run directory.

    Cost: reading the pool's files (about 1 GB/s), and the texts once.
    """
    run.manifest["provenance"] = {
        "files": [
            [name, digest_files((Path(name),))] for name in pool.sources if Path(name).is_file()
        ],
        "texts": pool.digest(),
        "scores": _scores(wanted, gathered),
        "models_answered": _answered(gathered, run),
        "audit": None if audit is None else [str(Path(audit).absolute()), _digest(Path(audit))],
        "report": [report, _digest(run.path / report)],
        "journal": _journal(run.path / JOURNAL),
        "versions": versions(),
    }
    run.write_manifest()


def provenance(run: Path, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `record_provenance` wrote.

    Raises:
        RunError: if the run did not finish, or is of an earlier version.
    """
    found = manifest.get("provenance")
    if not isinstance(found, Mapping):
        raise RunError(
            f"`{run}` does not say what it was made from: its run did not finish, or was one of an "
            "earlier version",
            AGAIN,
        )
    return found


def versions() -> dict[str, str]:
    """Versions of the package, of Python and of the libraries that make an artifact."""
    known = {"ds2-fast": _core.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            known[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**known, "machine": platform.machine(), "kernel": _core.kernel_name()}


def _scores(wanted: Wanted, gathered: Gathered) -> list[dict[str, Any]]:
    """Where the scores of each rater came from, and their digest."""
    return [
        {
            "column": column,
            "name": scores.column,
            "scale": wanted.scale,
            "rated": status is not None and (gathered.bought is None or _paid(gathered)),
            "digest": artifacts.digest_array(scores.values),
        }
        for column, (scores, status) in zip(wanted.columns, gathered.rated, strict=True)
    ]


def _paid(gathered: Gathered) -> bool:
    return gathered.bought is not None and gathered.bought.value.summary is not None


def _answered(gathered: Gathered, run: RunDir) -> dict[str, int]:
    """Which models answered, by their own account, and how often."""
    if gathered.bought is not None:
        summary = gathered.bought.value.summary or {}
    elif gathered.rated[0][1] is not None:
        files = tuple(run.path / file for file in artifacts.RATINGS.files)
        summary = artifacts.RATINGS.load(files).summary
    else:
        summary = {}
    found: dict[str, int] = dict(summary.get("models_answered", {}))
    return found


def _digest(file: Path) -> str:
    return digest_files((file,))


def _journal(file: Path) -> list[Any] | None:
    """Bytes of the journal and their digest: what is appended later does not change them."""
    if not file.is_file():
        return None
    size = file.stat().st_size
    return [size, digest_beginning(file, size)]


def digest_beginning(file: Path, size: int) -> str:
    """A digest of the first `size` bytes of a file."""
    digest, left = hashlib.blake2b(digest_size=16), size
    with file.open("rb") as handle:
        while left and (block := handle.read(min(left, 1 << 22))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()
