"""The cache of models: one folder each, complete or not there."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from ds2_fast.embedding.opening import ModelFiles, sha256_file
from ds2_fast.errors import ModelError

_RECORD = "ds2-model.json"
_RECORD_FORMAT = 1
# A temporary folder this old was left by a process that was killed.
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True)
class CachedModel:
    """A model in the cache, as its record tells.

    Attributes:
        name: name in the cache.
        path: its folder.
        source: where it came from: `{"folder": ...}`, or `{"repository": ..., "revision": ...}`
            with the commit the files were taken from.
        onnx: the network's file, relative to the folder.
        named: the user chose this ONNX file by name.
        files: sha256 of every file, by path relative to the folder.
        size: bytes of all files.
        dim: columns of a row.
        max_length: tokens kept of a text.
    """

    name: str
    path: Path
    source: Mapping[str, str]
    onnx: str
    named: bool
    files: Mapping[str, str]
    size: int
    dim: int
    max_length: int

    def model_files(self, name: str | None = None) -> ModelFiles:
        """Return what `open_embedder` needs."""
        return ModelFiles(
            name=name or self.name,
            path=self.path,
            onnx=self.path / self.onnx,
            named=self.named,
            cached_as=self.name,
            digests=self.files,
        )


class ModelStore:
    """The models in one cache folder. Safe for several processes: entries appear whole by rename.

    Args:
        root: cache folder of ds2-fast; None for `default_cache()`. Models lie in `models/` below.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self.folder = (default_cache() if root is None else Path(root)) / "models"

    def find(self, name: str) -> CachedModel | None:
        """Return the model of that name, or None.

        Raises:
            ModelError: the entry is there but damaged.
        """
        path = self._path(name)
        if not path.is_dir():
            return None
        return _read_record(path, name)

    def get(self, name: str) -> CachedModel:
        """Return the model of that name.

        Raises:
            ModelError: there is none, or the entry is damaged.
        """
        found = self.find(name)
        if found is None:
            raise self._missing(name)
        return found

    def models(self) -> Iterator[CachedModel]:
        """Yield all models, by name.

        Raises:
            ModelError: an entry is damaged.
        """
        if self.folder.is_dir():
            for path in sorted(self.folder.glob("[!.]*/" + _RECORD)):
                yield _read_record(path.parent, None)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a folder to collect a model in; what is left of it at the end is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        path = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def admit(
        self,
        staged: Path,
        name: str,
        *,
        source: Mapping[str, str],
        onnx: str,
        named: bool,
        dim: int,
        max_length: int,
        replace: bool,
    ) -> CachedModel:
        """Put a folder made with `staging` into the cache, in one step.

        When another process was faster, its entry is kept and returned: both came from the same
        name. `replace` puts the new one in its place instead.
        """
        files = sorted(path for path in staged.rglob("*") if path.is_file())
        record = {
            "format": _RECORD_FORMAT,
            "name": name,
            "source": dict(source),
            "onnx": onnx,
            "named": named,
            "dim": dim,
            "max_length": max_length,
            "files": {
                path.relative_to(staged).as_posix(): {
                    "sha256": sha256_file(path),
                    "bytes": path.stat().st_size,
                }
                for path in files
            },
        }
        (staged / _RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False), "utf-8")
        staged.chmod(0o755)  # mkdtemp makes private folders
        target = self._path(name)
        if replace:
            self._discard(target)
        try:
            staged.rename(target)
        except OSError:
            # A folder that is not empty cannot be renamed over.
            if not target.is_dir():
                raise
        return _read_record(target, name)

    def remove(self, name: str) -> None:
        """Remove a model, damaged or not.

        Raises:
            ModelError: there is none of that name.
        """
        if not self._discard(self._path(name)):
            raise self._missing(name)

    def _missing(self, name: str) -> ModelError:
        return ModelError(
            f"there is no model `{name}` in `{self.folder}`",
            hint="`ds2-fast model list` shows what is there",
        )

    def _path(self, name: str) -> Path:
        # `/`, `@` and whatever else a name holds; a leading dot would hide the entry.
        quoted = quote(name, safe="")
        return self.folder / (quoted if not quoted.startswith(".") else "%2E" + quoted[1:])

    def _discard(self, path: Path) -> bool:
        """Remove an entry in one step for all others; say whether there was one."""
        with self.staging() as staged:
            try:
                path.rename(staged / "old")
            except FileNotFoundError:
                return False
        return True

    def _sweep(self) -> None:
        """Remove what killed processes left behind."""
        oldest = time.time() - _ABANDONED_SECONDS
        for path in self.folder.glob(".new-*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    shutil.rmtree(path, ignore_errors=True)


def _read_record(path: Path, name: str | None) -> CachedModel:
    """Read the record of an entry and check that its files are there, by their sizes."""
    try:
        record = json.loads((path / _RECORD).read_bytes())
        _check_record(record, path, name)
        return CachedModel(
            name=record["name"],
            path=path,
            source=record["source"],
            onnx=record["onnx"],
            named=record["named"],
            files={file: entry["sha256"] for file, entry in record["files"].items()},
            size=sum(entry["bytes"] for entry in record["files"].values()),
            dim=record["dim"],
            max_length=record["max_length"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        called = name or unquote(path.name)
        raise ModelError(
            f"the cached model `{called}` in `{path}` is damaged: {error}",
            hint=f"ds2-fast model remove {called}, then fetch or import it again",
        ) from error


def _check_record(record: dict[str, Any], path: Path, name: str | None) -> None:
    if record["format"] != _RECORD_FORMAT or name not in (None, record["name"]):
        raise ValueError(f"its record is of format {record['format']}, name {record['name']}")
    for file, entry in record["files"].items():
        size = (path / file).stat().st_size
        if size != entry["bytes"]:
            raise ValueError(f"`{file}` has {size} bytes instead of {entry['bytes']}")


def default_cache() -> Path:
    """Return the cache folder of ds2-fast.

    `$DS2_FAST_CACHE`; else `$XDG_CACHE_HOME/ds2-fast`; else the custom of the system:
    `~/Library/Caches/ds2-fast` on macOS, `%LOCALAPPDATA%/ds2-fast/Cache` on Windows,
    `~/.cache/ds2-fast` elsewhere.
    """
    own = os.environ.get("DS2_FAST_CACHE")
    if own:
        return Path(own).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    if xdg:
        return Path(xdg).expanduser() / "ds2-fast"
    return _platform_cache(sys.platform, Path.home(), os.environ.get)


def _platform_cache(platform: str, home: Path, environment: Callable[[str], str | None]) -> Path:
    if platform == "darwin":
        return home / "Library" / "Caches" / "ds2-fast"
    if platform == "win32":
        local = environment("LOCALAPPDATA")
        return (Path(local) if local else home / "AppData" / "Local") / "ds2-fast" / "Cache"
    return home / ".cache" / "ds2-fast"
