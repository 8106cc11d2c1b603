"""Files of a repository of the Hugging Face hub: listed, downloaded, checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2_fast.embedding.opening import sha256_file
from ds2_fast.errors import ModelError
from ds2_fast.progress import Progress

_SHA256_DIGITS = 64


class HubError(ModelError):
    """The hub does not have the model, or cannot be reached."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository: bytes, and the checksum the hub states (sha256, or git's sha1)."""

    size: int
    checksum: str | None


@dataclass(frozen=True)
class RemoteModel:
    """A repository at one commit, with its files by name."""

    repository: str
    commit: str
    files: Mapping[str, RemoteFile]


def list_remote(repository: str, revision: str | None) -> RemoteModel:
    """Ask the hub for the commit of a revision (None: the main branch) and for its files.

    Raises:
        HubError: no such repository or revision, or the hub cannot be reached.
    """
    _keep_quiet()
    import httpx
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise _hub_error(repository, error) from error
    files = {
        file.rfilename: RemoteFile(file.size or 0, file.lfs.sha256 if file.lfs else file.blob_id)
        for file in info.siblings or []
    }
    if not info.sha:
        raise HubError(f"the hub states no commit for {repository}")
    return RemoteModel(repository, info.sha, files)


def download_files(remote: RemoteModel, files: Iterable[str], progress: Progress) -> Path:
    """Download files of one commit into the hub's own cache and check each.

    A connection that drops is taken up where it broke off, by the hub's client. Files that lie in
    its cache are not downloaded again, but are checked again.

    Args:
        remote: the repository.
        files: names of its files, at least one.
        progress: called with `(done, total)` bytes.

    Returns:
        The folder that holds the files under their names.

    Raises:
        HubError: a file cannot be downloaded.
        ModelError: a file has another checksum than the hub states.
    """
    _keep_quiet()
    import httpx
    from huggingface_hub import hf_hub_download

    names = list(files)
    total = sum(remote.files[name].size for name in names)
    done = 0
    for name in names:

        def report(count: int, before: int = done) -> None:
            progress(min(before + count, total), total)

        try:
            downloaded = hf_hub_download(
                remote.repository, name, revision=remote.commit, tqdm_class=_counting_bar(report)
            )
        except (httpx.HTTPError, OSError) as error:
            raise _hub_error(remote.repository, error) from error
        path = Path(downloaded)
        verify_file(path, remote.files[name].checksum, remote.repository)
        done += remote.files[name].size
        progress(done, total)
    return path.parents[name.count("/")]


def find_snapshot(repository: str, revision: str | None) -> Path | None:
    """Return the folder of a repository in the hub's own cache, without any request.

    Only a folder with all the files that sentence-transformers writes counts: a partial one would
    be read as a model with other pooling or another length.
    """
    _keep_quiet()
    from huggingface_hub import try_to_load_from_cache

    paths = []
    for name in ("config.json", "tokenizer.json", "modules.json", "sentence_bert_config.json"):
        path = try_to_load_from_cache(repository, name, revision=revision)
        if not isinstance(path, str):
            return None
        paths.append(Path(path))
    return paths[0].parent


def verify_file(path: Path, checksum: str | None, name: str) -> None:
    """Compare a file with its checksum: sha256, or the sha1 that git gives a small file.

    A file that differs is removed from the hub's cache, so that the next attempt fetches it anew.
    None, from a server that states no checksum, compares with nothing.

    Raises:
        ModelError: the file differs.
    """
    if checksum is None:
        return
    if len(checksum) == _SHA256_DIGITS:
        got = sha256_file(path)
    else:
        data = path.read_bytes()
        got = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if got != checksum:
        path.resolve().unlink(missing_ok=True)
        raise ModelError(
            f"`{path.name}` of {name} has the checksum {got}, expected {checksum}",
            hint="the file was removed: run the command again; if this stays, distrust the server",
        )


def _hub_error(name: str, error: Exception) -> HubError:
    # The client's messages go on over many lines; the first two say what happened.
    lines = [line.strip(" .") for line in str(error).splitlines() if line.strip()]
    reason = "; ".join(lines[:2]) or type(error).__name__
    return HubError(
        f"cannot fetch {name} from the hub: {reason}",
        hint="check the name and the network; HF_ENDPOINT names another server of the hub",
    )


def _counting_bar(report: Callable[[int], None]) -> Any:  # noqa: ANN401 (a class with an untyped base)
    """Return a progress bar for the hub's client that draws nothing and reports bytes."""
    from huggingface_hub.utils.tqdm import tqdm

    class CountingBar(tqdm):
        def __init__(self, **options: Any) -> None:  # noqa: ANN401
            super().__init__(total=options.get("total"), disable=True)  # type: ignore[no-untyped-call]
            self._seen = int(options.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            self._seen += int(n or 0)
            report(self._seen)

        def update_transfer(self, n: float) -> None:
            """Ignore bytes on the wire: those on the disk are counted."""

    return CountingBar


def _keep_quiet() -> None:
    """Keep the hub's client from reporting about this machine; works before its first import."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
