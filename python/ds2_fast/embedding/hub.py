"""Models of the Hugging Face hub: pinned, checked, fetched once."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ds2_fast.embedding.bert import read_bert_shape
from ds2_fast.embedding.bert_graph import require_exporter
from ds2_fast.embedding.folder import read_json
from ds2_fast.embedding.hub_files import (
    HubError,
    download_files,
    find_snapshot,
    list_remote,
    verify_file,
)
from ds2_fast.embedding.importing import import_model
from ds2_fast.embedding.network import (
    SAFETENSORS,
    belongs_to_model,
    choose_network,
    list_files,
    weight_files,
)
from ds2_fast.embedding.store import CachedModel, ModelStore
from ds2_fast.progress import Progress, silent

_HUB_ID = re.compile(r"(?P<repository>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Pin:
    """A model whose files are known beforehand.

    Attributes:
        repository: its hub id.
        revision: the commit.
        sha256: checksum of its `model.safetensors`.
    """

    repository: str
    revision: str
    sha256: str


PINNED = {
    "all-MiniLM-L6-v2": Pin(
        repository="sentence-transformers/all-MiniLM-L6-v2",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Models by short name; the repository's name without a revision means the same."""


def is_hub_id(name: str) -> bool:
    """Say whether a name can be one of the hub: `[owner/]name`, with or without `@revision`."""
    return _HUB_ID.fullmatch(name) is not None


def hub_is_off() -> bool:
    """Say whether the environment forbids the network: `HF_HUB_OFFLINE`."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def short_name(name: str) -> str:
    """Return the short name of a pinned model that is named by its repository; else the name."""
    return next((short for short, pin in PINNED.items() if pin.repository == name), name)


def fetch_model(
    name: str,
    *,
    store: ModelStore,
    cached_as: str | None = None,
    onnx_file: str | None = None,
    offline: bool = False,
    replace: bool = False,
    progress: Progress = silent,
) -> CachedModel:
    """Fetch a model from the hub into the cache.

    Only the files that decide vectors are fetched. Each is compared with the checksum the hub
    states for it at that commit, and a pinned model's `model.safetensors` with the one written
    here. The commit and all checksums are recorded, so a branch is resolved once and never again.

    Of an ONNX file and `model.safetensors` the former is taken, as no exporter is needed; a pinned
    model is exported from its pinned checkpoint where the exporter is installed.

    Args:
        name: `owner/name`, `owner/name@revision`, or a pinned name.
        store: the cache.
        cached_as: name in the cache; None for `name`.
        onnx_file: take this ONNX file of the repository.
        offline: look into the hub's own cache alone, and open no socket.
        replace: fetch again what is cached.
        progress: called with `(done, total)` bytes.

    Raises:
        HubError: no such repository, revision or file; or the hub cannot be reached.
        ModelError: a checksum is wrong, or the model cannot be used; see `import_model`.
    """
    pin = PINNED.get(short_name(name))
    repository, revision = (pin.repository, pin.revision) if pin else _split(name)
    if offline or hub_is_off():
        folder, network = _find_offline(repository, revision, onnx_file, pin)
    else:
        folder, network = _download(repository, revision, onnx_file, pin, progress)
    if pin and network == SAFETENSORS:
        verify_file(folder / network, pin.sha256, name)
    return import_model(
        folder,
        cached_as or name,
        store=store,
        # A snapshot's folder is named by its commit.
        source={"repository": repository, "revision": folder.name},
        network=network,
        named=onnx_file is not None,
        replace=replace,
    )


def _split(name: str) -> tuple[str, str | None]:
    match = _HUB_ID.fullmatch(name)
    if match is None:
        raise HubError(
            f"`{name}` is not a name of the hub", hint="write owner/name or owner/name@revision"
        )
    return match["repository"], match["revision"]


def _choose(files: Collection[str], where: str, onnx_file: str | None, pin: Pin | None) -> str:
    if onnx_file is not None:
        if onnx_file not in files:
            raise HubError(f"{where} has no file `{onnx_file}`")
        return onnx_file
    if pin and SAFETENSORS in files and find_spec("onnx"):
        return SAFETENSORS
    return choose_network(files, where)


def _find_offline(
    repository: str, revision: str | None, onnx_file: str | None, pin: Pin | None
) -> tuple[Path, str]:
    """Return snapshot folder and network from the hub's own cache."""
    folder = find_snapshot(repository, revision)
    if folder is None:
        raise HubError(
            f"{repository} is not complete in the cache of huggingface_hub, and the network is off",
            hint="unset HF_HUB_OFFLINE or drop --offline to fetch it",
        )
    return folder, _choose(list_files(folder), repository, onnx_file, pin)


def _download(
    repository: str,
    revision: str | None,
    onnx_file: str | None,
    pin: Pin | None,
    progress: Progress,
) -> tuple[Path, str]:
    """Download what is needed; return snapshot folder and network."""
    remote = list_remote(repository, revision)
    network = _choose(remote.files, repository, onnx_file, pin)
    if network == SAFETENSORS:
        require_exporter()
        # Before 100 MB of weights are fetched that could not be exported.
        folder = download_files(remote, ["config.json"], silent)
        read_bert_shape(read_json(folder / "config.json"), repository)
    files = [file for file in remote.files if belongs_to_model(file)]
    files += [network, *weight_files(network, remote.files)]
    return download_files(remote, files, progress), network
