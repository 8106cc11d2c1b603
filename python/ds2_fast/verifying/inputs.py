"""The bytes a finished run stands on: its manifest, artifacts, pool, embeddings and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.errors import Ds2Error, ModelError, RunError, VerifyError
from ds2_fast.provenance import digest_beginning, digest_path
from ds2_fast.rundir import AGAIN, MANIFEST, digest_files, digest_json, json_bytes, read_manifest
from ds2_fast.scoring import JOURNAL
from ds2_fast.source import reopen_features

if TYPE_CHECKING:
    from ds2_fast.features import Features
    from ds2_fast.pool import Pool

_AGAIN = "run the same `ds2-fast select` again: what is damaged is made anew"
_RESTORE = "bring back the file of that day, or run again on what it is now"


def check_manifest(run: Path) -> dict[str, Any]:
    """Read the manifest and see that no byte of it was changed.

    Args:
        run: the run directory.

    Raises:
        RunError: if it is no run directory.
        VerifyError: if the manifest was changed by hand.
    """
    manifest, file = read_manifest(run), run / MANIFEST
    seal = manifest.get("seal")
    if seal is None:
        raise RunError(
            f"`{file}` has no seal: it is of an earlier version",
            AGAIN,
        )
    rest = {name: part for name, part in manifest.items() if name != "seal"}
    if digest_json(rest) != seal or json_bytes(manifest) != file.read_bytes():
        raise VerifyError(
            f"`{file}` has been changed since the run",
            "bring back the file as it was, or remove it: every stage is then made anew",
        )
    return manifest


def check_artifacts(run: Path, stages: Mapping[str, Any]) -> int:
    """Compare the digest of every file of every stage.

    Args:
        run: the run directory.
        stages: of its manifest.

    Returns:
        How many files there are.

    Raises:
        VerifyError: naming the first that is gone or has changed.

    Cost: reading them, about 1 GB/s.
    """
    count = 0
    for stage in stages.values():
        files = [run / name for name in stage["files"]]
        for file in files:
            if not file.is_file():
                raise VerifyError(f"`{file}` is gone", _AGAIN)
        for file, digest in zip(files, stage["file_digests"], strict=True):
            if digest_files((file,)) != digest:
                raise VerifyError(f"`{file}` has changed since the run", _AGAIN)
        count += len(files)
    return count


def check_beside(run: Path, stood_on: Mapping[str, Any]) -> list[str]:
    """Compare the report, the journal, the audit and files of options with what the run saw.

    Returns:
        The names of what was compared.
    """
    name, digest = stood_on["report"]
    _compare(run / name, digest, _AGAIN)
    names = [name]
    for _, file, digest in stood_on.get("option_files", []):
        if digest_path(Path(file)) != digest:
            gone = "has changed since the run" if Path(file).exists() else "is gone"
            raise VerifyError(f"`{file}` {gone}", _RESTORE)
        names += [file] if digest is not None else []
    if stood_on["audit"] is not None:
        file, digest = stood_on["audit"]
        _compare(Path(file), digest, _RESTORE)
        names.append(file)
    if stood_on["journal"] is not None:
        size, digest = stood_on["journal"]
        journal = run / JOURNAL
        if not journal.is_file():
            raise VerifyError(f"`{journal}` is gone", "bring it back: it holds answers paid for")
        # Answers that came later are none of this run's.
        if digest_beginning(journal, size) != digest:
            raise VerifyError(f"`{journal}` has changed since the run", _RESTORE)
        names.append(JOURNAL)
    return names


def _compare(file: Path, digest: str, mend: str) -> None:
    if not file.is_file():
        raise VerifyError(f"`{file}` is gone", mend)
    if digest_files((file,)) != digest:
        raise VerifyError(f"`{file}` has changed since the run", mend)


def check_pool(
    run: Path,
    manifest: Mapping[str, Any],
    stood_on: Mapping[str, Any],
    elsewhere: Sequence[str] | None,
) -> Pool:
    """Compare the bytes of the pool, and read it once more.

    Args:
        run: the run directory.
        manifest: its manifest.
        stood_on: its part `provenance`.
        elsewhere: where the pool is now, if it was moved.

    Raises:
        RunError: if the pool was not in files.
        VerifyError: if a file is gone or has changed.
    """
    from ds2_fast.pool import read_pool
    from ds2_fast.pool.files import find_files

    stored, files = manifest["pool"], stood_on["files"]
    if stored["inputs"] == ["-"] or not files:
        raise RunError(
            f"the pool of `{run}` was not in files, so nothing can be held against it",
            "keep it in a file and run again",
        )
    split = stored["options"].get("split") or "train"
    names = (
        [name for name, _ in files]
        if elsewhere is None
        else [file.path for file in find_files(elsewhere, split=split)]
    )
    if len(names) != len(files):
        raise VerifyError(f"the pool was {len(files)} files, not {len(names)}", _RESTORE)
    for name, (_, digest) in zip(names, files, strict=True):
        _compare_pool(Path(name), digest)
    pool = read_pool(list(elsewhere or stored["inputs"]), **stored["options"])
    if pool.digest() != stood_on["texts"]:
        raise VerifyError(
            "the files of the pool are those of the run, and their texts are read differently",
            f"verify with ds2-fast {stood_on['versions']['ds2-fast']}",
        )
    return pool


def _compare_pool(file: Path, digest: str) -> None:
    if not file.is_file():
        raise VerifyError(
            f"the pool `{file}` is gone", "bring it back, or say where it is now with `--pool`"
        )
    if digest_files((file,)) != digest:
        raise VerifyError(f"the pool `{file}` has changed since the run", _RESTORE)


def check_features(
    run: Path, manifest: Mapping[str, Any], pool: Pool, elsewhere: str | None
) -> Features:
    """Compare the features with those of the run.

    Args:
        run: the run directory.
        manifest: its manifest.
        pool: the pool.
        elsewhere: where given embeddings are now, if they were moved.

    Raises:
        RunError: if they were an array in memory.
        VerifyError: if they are gone or have changed.
    """
    from ds2_fast import artifacts
    from ds2_fast.features import Features
    from ds2_fast.pool import read_embeddings

    stored = manifest["features"]
    if stored["space"] != "given" or stored["source"] == "array":
        try:
            return reopen_features(run, manifest)
        except RunError as error:
            if stored["source"] == "array":
                raise
            raise VerifyError(error.message, error.hint) from error
    source = elsewhere or stored["source"]
    if Path(source).suffix in (".npy", ".npz") and not Path(source).is_file():
        raise VerifyError(
            f"the embeddings `{source}` are gone",
            "bring them back, or say where they are now with `--embeddings`",
        )
    try:
        rows = read_embeddings(pool, source).values
    except Ds2Error as error:
        raise VerifyError(f"the embeddings `{source}`: {error.message}", _RESTORE) from error
    if artifacts.digest_array(rows) != stored["digest"]:
        raise VerifyError(f"the embeddings `{source}` have changed since the run", _RESTORE)
    return Features(rows, stored["digest"], "given", source, stored["allow_zero"])


def check_model(manifest: Mapping[str, Any]) -> str | None:
    """Compare the files of the embedding model, if the run used one.

    Returns:
        What was found, in a sentence; None if no model was used. A model that is not at hand is
        no difference: the rows it made are.

    Raises:
        VerifyError: if it is another model now.
    """
    from ds2_fast.embedding import load_embedder

    embedder = manifest["features"]["embedder"]
    if embedder is None:
        return None
    name, key = embedder
    try:
        found = load_embedder(name, offline=True, threads=1)
    except ModelError as error:
        if Path(name).exists() or "damaged" in error.message:
            raise VerifyError(f"the model `{name}`: {error.message}", error.hint) from error
        return f"`{name}` is not at hand, so its files were not compared"
    if found.key != key:
        raise VerifyError(
            f"the model `{name}` is another one than in the run: its files or settings differ",
            "bring back the model of that day, or run again to embed with the one of now",
        )
    return f"`{name}` is the model of the run"


def differing_versions(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Name the versions that differ, for the hint of a result that does."""
    return ", ".join(
        f"{name} {version} then, {now.get(name, 'none')} now"
        for name, version in then.items()
        if now.get(name) != version
    )
