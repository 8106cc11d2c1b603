"""The run directory: artifacts of the stages, and the manifest that says which run made them.

A stage is skipped if, and only if, the manifest holds its key and its files are there with the
bytes that were written: a file that was cut, changed or lost is made anew. A key is a digest of the
stage's name and version, its parameters, and the digests of what it reads; so a changed parameter
reruns that stage and those after it, and nothing else. Files appear under their final names whole
or not at all: they are written beside them, the manifest forgets the old entry, the new files move
in, the manifest learns the new entry. A process killed between any two of these steps leaves a
directory that is still true.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from ds2_fast.atomic import atomic_path
from ds2_fast.errors import RunError

T = TypeVar("T")
MANIFEST = "manifest.json"
AGAIN = "run the same `ds2-fast select` again; what is there is reused"
"""The hint where a finished run cannot be read as it was left."""
SCHEMA = 1
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Artifact(Generic[T]):
    """How the value of a stage is kept in files.

    Args:
        files: the names inside the run directory.
        save: writes a value to the given paths (one for each name, in order), which do not exist
            yet.
        load: reads it back from the final paths.
        version: raised when the meaning of the files changes.
    """

    files: tuple[str, ...]
    save: Callable[[T, tuple[Path, ...]], None]
    load: Callable[[tuple[Path, ...]], T]
    version: int = 1


@dataclass(frozen=True)
class Stage(Generic[T]):
    """A finished stage.

    Attributes:
        value: what the stage made.
        digest: of its files.
        reused: the files were there.
        seconds: what it took.
        spoiled: the files were there, with other bytes than were written.
    """

    value: T
    digest: str
    reused: bool
    seconds: float
    spoiled: bool = False


@dataclass
class RunDir:
    """An open, locked run directory. Make one with `open_run`.

    Attributes:
        path: the folder.
        manifest: its manifest.
        used: the stages that were run or loaded since it was opened, in order; the manifest may
            know others, of an earlier run in the same folder.
    """

    path: Path
    manifest: dict[str, Any] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)

    def stage(
        self,
        name: str,
        artifact: Artifact[T],
        compute: Callable[[], T],
        *,
        inputs: Mapping[str, str],
        params: Mapping[str, Any],
    ) -> Stage[T]:
        """Load the stage's artifact if its key matches, else compute and save it.

        Args:
            name: the stage's name in the manifest.
            artifact: how the value is kept.
            compute: makes the value; called only if it is needed.
            inputs: digests of everything the stage reads.
            params: JSON-able parameters that decide the value.

        Raises:
            RunError: if the artifact cannot be written.
        """
        key = digest_json([name, artifact.version, dict(inputs), dict(params)])
        finals = tuple(self.path / file for file in artifact.files)
        entry = self.manifest["stages"].get(name)
        spoiled = False
        if name not in self.used:
            self.used.append(name)
        if entry and entry["key"] == key and all(file.is_file() for file in finals):
            # Hashed each time (about 1 GB/s): what follows builds on this digest.
            if digest_files(finals) == entry["digest"]:
                if "file_digests" not in entry:  # made by an earlier version
                    entry["file_digests"] = _digest_each(finals, entry["digest"])
                return Stage(artifact.load(finals), entry["digest"], reused=True, seconds=0.0)
            spoiled = True
        started = time.perf_counter()
        value = compute()
        digest = self._keep(name, artifact, value, finals)
        seconds = time.perf_counter() - started
        self.manifest["stages"][name] = {
            "key": key,
            "digest": digest,
            "files": list(artifact.files),
            "file_digests": _digest_each(finals, digest),
            "params": dict(params),
            "inputs": dict(inputs),
            "seconds": round(seconds, 3),
        }
        self.write_manifest()
        return Stage(artifact.load(finals), digest, reused=False, seconds=seconds, spoiled=spoiled)

    def forget(self, name: str) -> None:
        """Make a stage run anew."""
        if self.manifest["stages"].pop(name, None) is not None:
            self.write_manifest()

    def _keep(self, name: str, artifact: Artifact[T], value: T, finals: tuple[Path, ...]) -> str:
        staged = tuple(file.with_name(f".{file.name}.new") for file in finals)
        try:
            for file in staged:
                file.unlink(missing_ok=True)
            artifact.save(value, staged)
            for file in staged:
                with file.open("rb+") as handle:
                    os.fsync(handle.fileno())
            digest = digest_files(staged)
            self.forget(name)
            for new, final in zip(staged, finals, strict=True):
                new.replace(final)
        except OSError as error:
            _sweep(self.path)
            raise RunError(
                f"cannot write `{error.filename or finals[0]}`: "
                f"{(error.strerror or str(error)).lower()}",
                "free some space, or choose another folder with `--run-dir`",
            ) from error
        return digest

    def write_manifest(self) -> None:
        """Write the manifest, atomically, with a digest of itself."""
        self.manifest.pop("seal", None)
        self.manifest["seal"] = digest_json(self.manifest)
        write_json(self.manifest, self.path / MANIFEST)


@contextmanager
def open_run(path: Path, version: str) -> Iterator[RunDir]:
    """Open a run directory for one process at a time, making it if it is not there.

    Args:
        path: the folder.
        version: the program's version, recorded in the manifest.

    Raises:
        RunError: if the folder cannot be made, is another process's, or is not a run directory.
    """
    made = not path.exists()
    if path.is_file():
        raise RunError(
            f"cannot use `{path}` as the run directory: it is a file",
            "choose another folder with `--run-dir`",
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RunError(
            f"cannot use `{path}` as the run directory: {reason}",
            "choose another folder with `--run-dir`",
        ) from error
    owned = False
    try:
        _take_lock(lock, path)
        owned = True
        _sweep(path)
        yield RunDir(path, _read_manifest(path, version))
    finally:
        os.close(lock)
        # Nothing was done, so nothing is left.
        if made and owned and [file.name for file in path.iterdir()] == ["lock"]:
            (path / "lock").unlink()
            path.rmdir()


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of a run directory.

    Raises:
        RunError: if `path` is not a run directory or its manifest is damaged.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise RunError(
            f"`{path}` is not a run directory: it has no {MANIFEST}",
            "name the folder that `ds2-fast select` wrote",
        )
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise RunError(
            f"`{file}` is not valid JSON: {error}", "remove the file; every stage is then made anew"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise RunError(
            f"`{file}` was written by another version of ds2-fast",
            "choose another folder with `--run-dir`",
        )
    if not _has_stages(manifest):
        raise RunError(
            f"`{file}` is damaged: its stages have no keys",
            "remove the file; every stage is then made anew",
        )
    return manifest


def _has_stages(manifest: dict[str, Any]) -> bool:
    stages = manifest.get("stages")
    return isinstance(stages, dict) and all(
        isinstance(entry, dict) and {"key", "digest"} <= entry.keys() for entry in stages.values()
    )


def write_json(value: object, path: Path) -> None:
    """Write a JSON-able value, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(json_bytes(value))


def json_bytes(value: object) -> bytes:
    """Write a JSON-able value as indented ASCII, so that file names that are no text can be held.

    Raises:
        ValueError: for NaN and infinity, which JSON does not have.
    """
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def digest_json(value: object) -> str:
    """A digest of a JSON-able value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def digest_files(files: tuple[Path, ...]) -> str:
    """A digest of the bytes of several files, in order (about 1 GB/s)."""
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(file.stat().st_size.to_bytes(8, "little"))
        with file.open("rb") as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _digest_each(files: tuple[Path, ...], together: str) -> list[str]:
    """A digest of each file, so that a changed one can be named."""
    return [together] if len(files) == 1 else [digest_files((file,)) for file in files]


def _sweep(path: Path) -> None:
    """Remove what a killed writer left: files that were to be moved in, halves of reports."""
    for file in path.glob(".*"):
        if re.fullmatch(
            r"\..+\.new|\.[0-9a-f]{8}\.(manifest\.json|report\.(json|html))", file.name
        ):
            file.unlink()


def _read_manifest(path: Path, version: str) -> dict[str, Any]:
    if (path / MANIFEST).is_file():
        manifest = read_manifest(path)
    else:
        manifest = {"schema": SCHEMA, "stages": {}}
    manifest["ds2_fast"] = version
    return manifest


def _take_lock(lock: int, path: Path) -> None:
    """Hold the folder as long as the file is open; the kernel lets go when the process dies."""
    try:
        import fcntl
    except ImportError:  # Windows: one byte of the file is locked instead
        import msvcrt

        def acquire() -> None:
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:

        def acquire() -> None:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    try:
        acquire()
    except OSError as error:
        owner = (
            os.pread(lock, 64, 0).decode(errors="replace").strip() if hasattr(os, "pread") else ""
        )
        raise RunError(
            f"`{path}` is in use by another ds2-fast run"
            + (f" (process {owner})" if owner else ""),
            "wait for it, or choose another folder with `--run-dir`",
        ) from error
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
