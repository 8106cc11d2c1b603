"""Verify a finished run: its bytes, what it stands on, and the same result once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from ds2_fast.errors import Ds2Error, VerifyError
from ds2_fast.explaining.chosen import by_strategy, open_selected
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.provenance import provenance, versions
from ds2_fast.terminal import duration
from ds2_fast.verifying import inputs
from ds2_fast.verifying.choosing_again import chosen_again
from ds2_fast.verifying.differing import difference
from ds2_fast.verifying.repeating import KEPT, repeated

if TYPE_CHECKING:
    import os

    from ds2_fast.features import Features
    from ds2_fast.pool import Pool
    from ds2_fast.rundir import AGAIN, RunDir

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at and found as it should be.

    Attributes:
        name: of what.
        found: in a sentence.
        seconds: what it took.
    """

    name: str
    found: str
    seconds: float


@dataclass(frozen=True)
class Verification:
    """A run that was verified; one that differs raises instead.

    Attributes:
        run: the run directory.
        deep: the neighbors were found anew.
        checks: what was looked at.
        repeated: stages that were run once more, in order.
        versions: versions now.
        versions_then: versions of the run.
    """

    run: str
    deep: bool
    checks: tuple[Check, ...]
    repeated: tuple[str, ...]
    versions: Mapping[str, str]
    versions_then: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON-able values."""
        return {"verified": True, **asdict(self)}


def verify_run(
    run: str | os.PathLike[str],
    *,
    deep: bool = False,
    pool: str | Sequence[str] | None = None,
    embeddings: str | None = None,
    threads: int | None = None,
    narrator: Narrator = QUIET,
) -> Verification:
    """Check every byte a finished run stands on, and that it gives the same result again.

    Compared by digest: the manifest (it holds one of itself), every artifact, the report, the
    journal as far as the run used it, the pool, given embeddings, an audit, and the files of the
    embedding model where it is at hand. Then the stages from the neighbors on are run once more in
    a folder that is gone afterwards, and all they make (T and p, curated and expected scores, the
    ranking, the selected rows) must equal what is stored bit for bit, whatever the number of
    threads or the kernel. Nothing is written into the run directory.

    Args:
        run: the run directory, as `select` and `curate` leave it.
        deep: find the neighbors anew, too. An index of `usearch` is taken as it is.
        pool: where the pool is now, if it was moved.
        embeddings: where given embeddings are now, if they were moved.
        threads: for the search, at most so many; None for all.
        narrator: is told what was found.

    Returns:
        What was checked.

    Raises:
        VerifyError: naming the first file or value that differs.
        RunError: if it is no run directory, its run did not finish, was one of an earlier version,
            or its pool or embeddings were in memory.

    Cost: reading all files (about 1 GB/s), and what the stages took; `deep` adds the search.
    """
    return _Verifier(Path(run), narrator).verify(
        deep=deep,
        pool=[pool] if isinstance(pool, str) else pool,
        embeddings=embeddings,
        threads=threads,
    )


class _Verifier:
    """Does one check after another, and remembers them."""

    def __init__(self, run: Path, narrator: Narrator) -> None:
        self._run, self._narrator = run, narrator
        self._checks: list[Check] = []

    def _check(self, name: str, look: Callable[[], T], told: Callable[[T], str | None]) -> T:
        started = perf_counter()
        found = look()
        seconds = perf_counter() - started
        if (words := told(found)) is not None:
            self._checks.append(Check(name, words, round(seconds, 3)))
            self._narrator.done(name, f"{words} ({duration(seconds)})")
        return found

    def verify(
        self, *, deep: bool, pool: Sequence[str] | None, embeddings: str | None, threads: int | None
    ) -> Verification:
        run, check = self._run, self._check
        manifest = check(
            "manifest", lambda: inputs.check_manifest(run), lambda _: "as it was written"
        )
        stood_on = provenance(run, manifest)
        check(
            "artifacts",
            lambda: inputs.check_artifacts(run, _stages_of(manifest, stood_on)),
            lambda count: f"{count} files have the digests of the run",
        )
        open_selected(run)
        check("report", lambda: inputs.check_beside(run, stood_on), _tell_beside)
        read = check(
            "pool",
            lambda: inputs.check_pool(run, manifest, stood_on, pool),
            lambda found: f"{len(found):,} samples, byte for byte those of the run",
        )
        features = None
        if "features" in manifest or not by_strategy(run):
            features = check(
                "features",
                lambda: inputs.check_features(run, manifest, read, embeddings),
                lambda found: (
                    f"{found.rows.shape[0]:,} rows of {found.rows.shape[1]}, {found.space}"
                ),
            )
            check("model", lambda: inputs.check_model(manifest), lambda words: words)
        stages = check(
            "repetition",
            lambda: self._repeat(manifest, read, features, deep=deep, threads=threads),
            lambda names: f"{', '.join(names)}: bit for bit the same",
        )
        return Verification(
            str(run), deep, tuple(self._checks), stages, versions(), stood_on["versions"]
        )

    def _repeat(
        self,
        manifest: Mapping[str, Any],
        pool: Pool,
        features: Features | None,
        *,
        deep: bool,
        threads: int | None,
    ) -> tuple[str, ...]:
        """Run the line again and hold every artifact against the stored one."""
        said = (self._run, manifest, pool)
        try:
            with (
                chosen_again(*said, features, deep=deep, threads=threads)
                if features is None or by_strategy(self._run)
                else repeated(*said, features, deep=deep, threads=threads)
            ) as again:
                return self._compare(manifest, again)
        except VerifyError:
            raise
        except Ds2Error as error:
            raise VerifyError(f"the run cannot be repeated: {error.message}", error.hint) from error

    def _compare(self, manifest: Mapping[str, Any], again: RunDir) -> tuple[str, ...]:
        done = []
        for name, stage in again.manifest["stages"].items():
            stored = manifest["stages"].get(name)
            if stored is None:
                raise VerifyError(f"the run has no stage {name}, and its repetition does", AGAIN)
            if stage is stored or name in KEPT:
                continue
            for file in stage["files"]:
                if words := difference(self._run / file, again.path / file):
                    raise VerifyError(
                        f"`{file}` comes out differently when {name} runs again: {words}",
                        _mend(manifest),
                    )
            done.append(name)
        return tuple(done)


def _mend(manifest: Mapping[str, Any]) -> str:
    differing = inputs.differing_versions(manifest["provenance"]["versions"], versions())
    if differing:
        return f"verify with the versions of the run ({differing})"
    return (
        "the versions are those of the run, so this is a fault of ds2-fast or of this machine: "
        "report it, with manifest.json"
    )


def _tell_beside(names: Sequence[str]) -> str:
    return f"{', '.join(Path(name).name for name in names)} as the run left them"


def _stages_of(manifest: Mapping[str, Any], stood_on: Mapping[str, Any]) -> dict[str, Any]:
    """The stages of the run; the folder of a strategy's run may keep others, of one before."""
    stages: dict[str, Any] = manifest["stages"]
    return {name: stages[name] for name in stood_on.get("stages", stages) if name in stages}
