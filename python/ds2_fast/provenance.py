"""What decided a run besides its stages, written into its manifest for `ds2_fast.verifying`."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast import _core, artifacts
from ds2_fast.errors import RunError
from ds2_fast.rundir import AGAIN, RunDir, Stage, digest_files, digest_json
from ds2_fast.scoring import JOURNAL

if TYPE_CHECKING:
    from ds2_fast.bought import Bought
    from ds2_fast.gathering import Gathered, Wanted
    from ds2_fast.panel import Rated
    from ds2_fast.pool import Pool
    from ds2_fast.strategies import Inputs, Plan

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
        **_foundation(run, pool, audit=audit, report=report),
        "scores": _scores(wanted, gathered.rated, gathered.bought),
        "models_answered": _answered(gathered.rated, gathered.bought, run),
    }
    run.write_manifest()


def record_strategy(
    run: RunDir,
    pool: Pool,
    wanted: Wanted,
    inputs: Inputs,
    plan: Plan,
    *,
    audit: str | Path | None,
    report: str,
) -> None:
    """Write down the same of a run that another strategy than DS2 selected.

    `columns` has a digest of each column it looked at, `option_files` one of each file that an
    option names, `stages` the digests of the stages of this run: the folder may keep others, of an
    earlier one.

    Args:
        run: the run directory.
        pool: its pool.
        wanted: where scores were to come from.
        inputs: what the strategy looked at.
        plan: the strategy.
        audit: file of a person's scores.
        report: name of the report in the run directory.

    Cost: as `record_provenance`, and reading the files of its options.
    """
    rated = inputs.rated if inputs.has("rated") else []
    run.manifest["provenance"] = {
        **_foundation(run, pool, audit=audit, report=report),
        "scores": _scores(wanted, rated, None),
        "models_answered": _answered(rated, None, run),
        "columns": dict(inputs.columns_read),
        "option_files": [
            [name, str(Path(name).absolute()), digest_path(Path(name))] for name in plan.files()
        ],
        "features": inputs.features.digest if inputs.has("features") else None,
        "stages": {name: run.manifest["stages"][name]["digest"] for name in run.used},
    }
    run.write_manifest()


def _foundation(
    run: RunDir, pool: Pool, *, audit: str | Path | None, report: str
) -> dict[str, Any]:
    """The bytes that every run stands on."""
    return {
        "files": [
            [name, digest_files((Path(name),))] for name in pool.sources if Path(name).is_file()
        ],
        "texts": pool.digest(),
        "audit": None if audit is None else [str(Path(audit).absolute()), _digest(Path(audit))],
        "report": [report, _digest(run.path / report)],
        "journal": _journal(run.path / JOURNAL),
        "versions": versions(),
    }


def digest_path(path: Path) -> str | None:
    """A digest of a file, or of all files in a folder; None where there is neither."""
    if path.is_file():
        return _digest(path)
    if not path.is_dir():
        return None
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest_json([[str(file.relative_to(path)), _digest(file)] for file in files])


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


def _scores(
    wanted: Wanted, rated: Sequence[Rated], bought: Stage[Bought] | None
) -> list[dict[str, Any]]:
    """Where the scores of each rater came from, and their digest."""
    return [
        {
            "column": column,
            "name": scores.column,
            "scale": wanted.scale,
            "rated": status is not None and (bought is None or bought.value.summary is not None),
            "digest": artifacts.digest_array(scores.values),
        }
        for column, (scores, status) in zip(wanted.columns, rated, strict=False)
    ]


def _answered(rated: Sequence[Rated], bought: Stage[Bought] | None, run: RunDir) -> dict[str, int]:
    """Which models answered, by their own account, and how often."""
    if bought is not None:
        summary = bought.value.summary or {}
    elif rated and rated[0][1] is not None:
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
