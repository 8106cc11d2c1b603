"""Fetching from the hub: for real, over HTTP, from a server on this machine.

Every fetch runs in a process of its own, as the hub's client reads its environment at import.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from ds2_fast.embedding.importing import export_bert
from ds2_fast.embedding.store import ModelStore
from hub_server import HubServer
from tiny_bert import add_dense, add_modules, make_model

# Prints what was loaded as JSON, or the error and its hint.
LOAD = """
import json, sys
from ds2_fast.embedding import load_embedder
from ds2_fast.errors import ModelError
seen = []
try:
    embedder = load_embedder(
        sys.argv[1], progress=lambda *at: seen.append(at), **json.loads(sys.argv[2])
    )
except ModelError as error:
    print(json.dumps({"error": error.message, "hint": error.hint, "kind": type(error).__name__}))
else:
    print(json.dumps({"key": embedder.key, "name": embedder.name, "dim": embedder.dim,
                      "row": embedder.embed(["the cat"])[0].tolist(), "progress": seen}))
"""
NO_SOCKETS = """
import socket
def refuse(*_, **__):
    raise AssertionError("a socket was opened")
class Refused(socket.socket):
    __init__ = refuse
socket.socket = Refused
socket.create_connection = socket.getaddrinfo = refuse
"""
PIN = """
from ds2_fast.embedding import hub
hub.PINNED["tiny"] = hub.Pin("owner/tiny", {commit!r}, {sha256!r})
"""


@pytest.fixture
def server():
    with HubServer() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    """A model whose weights are a large file for the server, its configuration small ones."""
    return make_model(tmp_path / "published")


@pytest.fixture
def load(tmp_path, server):
    def run(name, *, before="", environment=None, **options):
        settings = {
            "DS2_FAST_CACHE": str(tmp_path / "cache"),
            "HF_HOME": str(tmp_path / "hf"),
            "HF_ENDPOINT": server.url,
            "HF_HUB_ETAG_TIMEOUT": "5",
            **(environment or {}),
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        done = subprocess.run(
            [sys.executable, "-c", before + LOAD, name, json.dumps(options)],
            env={**inherited, **settings},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "cache")


def test_a_branch_is_resolved_once_and_then_never_asked_for_again(load, server, folder, store):
    commit = server.publish("owner/tiny", folder)
    first = load("owner/tiny")
    assert first["name"] == "owner/tiny"
    assert first["dim"] == 64
    total = first["progress"][-1][1]
    assert first["progress"][-1] == [total, total]
    assert len(first["progress"]) > 2
    cached = store.get("owner/tiny")
    assert cached.source == {"repository": "owner/tiny", "revision": commit}
    assert set(cached.files) == {
        "1_Pooling/config.json",
        "config.json",
        "model.onnx",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
    }
    # The branch moves on; what was recorded stays, and nobody is asked.
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 5}')
    server.publish("owner/tiny", folder)
    server.requests.clear()
    again = load("owner/tiny", before=NO_SOCKETS)
    assert again["key"] == first["key"]
    assert again["row"] == first["row"]
    assert server.requests == []


def test_the_vectors_are_those_of_the_folder(load, server, folder):
    server.publish("owner/tiny", folder)
    fetched, local = load("owner/tiny"), load(str(folder))
    assert fetched["key"] == local["key"]
    assert fetched["row"] == local["row"]


def test_only_what_decides_vectors_is_fetched(load, server, tmp_path):
    folder = make_model(tmp_path / "full", pooling=None)
    add_modules(folder, ("cls", "mean"), "Dense")
    add_dense(folder, rows=128, columns=12, activation="Tanh")
    for name in ("README.md", "vocab.txt", "pytorch_model.bin", "training_args.json"):
        (folder / name).write_text("x")
    server.publish("owner/full", folder)
    assert load("owner/full")["dim"] == 12
    fetched = {path.split("/", 5)[-1] for method, path, _ in server.requests if method == "GET"}
    assert "2_Dense/model.safetensors" in fetched
    assert not fetched & {"README.md", "vocab.txt", "pytorch_model.bin", "training_args.json"}


def test_a_revision_is_kept_apart_from_the_branch(load, server, folder, store):
    commit = server.publish("owner/tiny", folder)
    load(f"owner/tiny@{commit}")
    assert store.get(f"owner/tiny@{commit}").source["revision"] == commit
    assert store.find("owner/tiny") is None
    failed = load("owner/tiny@" + "0" * 40)
    assert "there is no embedding model `owner/tiny@000" in failed["error"]
    assert "Revision Not Found" in failed["error"]


def test_an_onnx_file_of_the_repository_is_preferred_and_can_be_named(load, server, folder, store):
    (folder / "onnx").mkdir()
    export_bert(folder, folder / "onnx" / "model.onnx", "tiny")
    (folder / "onnx" / "model_O2.onnx").write_bytes((folder / "onnx" / "model.onnx").read_bytes())
    server.publish("owner/tiny", folder)
    assert load("owner/tiny")["dim"] == 64
    assert store.get("owner/tiny").onnx == "onnx/model.onnx"
    assert server.count("GET", "model.safetensors") == 0
    assert server.count("GET", "model_O2.onnx") == 0
    assert load("owner/tiny", onnx_file="onnx/model_O2.onnx")["dim"] == 64
    assert store.get("owner/tiny:onnx/model_O2.onnx").named
    failed = load("owner/tiny", onnx_file="onnx/none.onnx")
    assert "owner/tiny has no file `onnx/none.onnx`" in failed["error"]


def test_a_pinned_model_is_checked_against_its_pin(load, server, folder, store):
    (folder / "onnx").mkdir()
    export_bert(folder, folder / "onnx" / "model.onnx", "tiny")
    commit = server.publish("owner/tiny", folder)
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    wrong = load("tiny", before=PIN.format(commit=commit, sha256="0" * 64))
    assert f"of tiny has the checksum {sha256}, expected 000" in wrong["error"]
    assert store.find("tiny") is None
    right = load("tiny", before=PIN.format(commit=commit, sha256=sha256))
    assert right["dim"] == 64
    assert store.get("tiny").onnx == "model.onnx"
    # The repository's own name means the same model, and is found without a request.
    same = load("owner/tiny", before=PIN.format(commit=commit, sha256=sha256) + NO_SOCKETS)
    assert same["key"] == right["key"]


def test_a_pinned_model_comes_as_the_hub_s_graph_where_there_is_no_exporter(
    load, server, folder, store
):
    (folder / "onnx").mkdir()
    export_bert(folder, folder / "onnx" / "model.onnx", "tiny")
    commit = server.publish("owner/tiny", folder)
    no_onnx = "import importlib.util as u; f = u.find_spec\n"
    no_onnx += "u.find_spec = lambda n, *a: None if n == 'onnx' else f(n, *a)\n"
    loaded = load("tiny", before=no_onnx + PIN.format(commit=commit, sha256="0" * 64))
    assert loaded["dim"] == 64
    assert store.get("tiny").onnx == "onnx/model.onnx"


def test_a_wrong_checksum_is_refused_and_the_next_attempt_succeeds(load, server, folder, store):
    server.publish("owner/tiny", folder)
    weights = (folder / "model.safetensors").read_bytes()
    for name, false in (
        ("config.json", (folder / "config.json").read_bytes().replace(b"1e-12", b"1e-01")),
        ("model.safetensors", weights[:-4] + b"evil"),
    ):
        server.false_content = {name: false}
        failed = load("owner/tiny")
        assert failed["kind"] == "ModelError"
        assert f"`{name}` of owner/tiny has the checksum" in failed["error"]
        assert store.find("owner/tiny") is None
    server.false_content = {}
    assert load("owner/tiny")["dim"] == 64


def test_a_dropped_connection_is_taken_up_where_it_broke_off(load, server, tmp_path):
    # The hub's client writes pieces of 10 MiB; what is whole of them is kept.
    folder = make_model(tmp_path / "large", positions=100_000)
    server.publish("owner/large", folder)
    piece = 10 * 2**20
    server.drops["model.safetensors"] = [piece + 1000, piece + 1000]
    assert load("owner/large")["dim"] == 64
    ranges = [
        start
        for method, path, start in server.requests
        if method == "GET" and path.startswith("/cdn") and path.endswith("model.safetensors")
    ]
    assert ranges == [None, f"bytes={piece}-", f"bytes={2 * piece}-"]


def test_what_does_not_exist_is_named_with_what_was_tried(load, server, folder, tmp_path):
    failed = load("owner/none")
    assert failed["error"].startswith("there is no embedding model `owner/none`: not a folder here")
    assert str(tmp_path / "cache" / "models") in failed["error"]
    assert "cannot fetch owner/none from the hub" in failed["error"]
    assert "ds2-fast model fetch" in failed["hint"]
    assert "lexical" in failed["hint"]
    failed = load("./no/such/folder here")
    assert "it is not a name of the hub either" in failed["error"]
    assert not any("such" in path for _, path, _ in server.requests)


def test_a_repository_without_weights_is_named(load, server, folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    server.publish("owner/tiny", folder)
    failed = load("owner/tiny")
    assert "holds neither onnx/model.onnx nor model.safetensors" in failed["error"]
    assert "it has only pytorch_model.bin" in failed["error"]


def test_a_network_that_cannot_be_exported_is_refused_before_its_weights_are_fetched(
    load, server, folder
):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mpnet"}))
    server.publish("owner/tiny", folder)
    assert "`model_type` is `mpnet`" in load("owner/tiny")["error"]
    assert server.count("GET", "model.safetensors") == 0


def test_no_server_is_named(load, server, folder):
    closed = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    failed = load("owner/tiny", environment=closed)
    assert "cannot fetch owner/tiny from the hub" in failed["error"]


def test_offline_opens_no_socket(load, server, folder):
    server.publish("owner/tiny", folder)
    failed = load("owner/tiny", before=NO_SOCKETS, offline=True)
    assert "the network is off" in failed["error"]
    failed = load("owner/tiny", before=NO_SOCKETS, environment={"HF_HUB_OFFLINE": "1"})
    assert "the network is off" in failed["error"]
    assert load(str(folder), before=NO_SOCKETS, offline=True)["dim"] == 64
    assert server.requests == []


def test_offline_takes_what_the_hub_s_own_cache_holds_whole(load, server, folder, tmp_path):
    commit = server.publish("owner/tiny", folder)
    online = load("owner/tiny")
    server.requests.clear()
    elsewhere = {"DS2_FAST_CACHE": str(tmp_path / "other")}
    offline = load(f"owner/tiny@{commit}", before=NO_SOCKETS, environment=elsewhere, offline=True)
    assert offline["key"] == online["key"]
    # A branch is known there when another program fetched by its name.
    (snapshot,) = (tmp_path / "hf" / "hub").glob("models--*/snapshots/*")
    branch = snapshot.parent.parent / "refs" / "main"
    branch.parent.mkdir(exist_ok=True)
    branch.write_text(commit)
    offline = load("owner/tiny", before=NO_SOCKETS, environment=elsewhere, offline=True)
    assert offline["key"] == online["key"]
    (snapshot / "modules.json").unlink()
    third = {"DS2_FAST_CACHE": str(tmp_path / "third")}
    failed = load("owner/tiny", before=NO_SOCKETS, environment=third, offline=True)
    assert "owner/tiny is not complete in the cache of huggingface_hub" in failed["error"]
    assert server.requests == []


def test_two_processes_may_fetch_the_same_model(load, server, folder, store):
    from concurrent.futures import ThreadPoolExecutor

    server.publish("owner/tiny", folder)
    with ThreadPoolExecutor(3) as pool:
        loaded = list(pool.map(load, ["owner/tiny"] * 3))
    assert len({result["key"] for result in loaded}) == 1
    assert [path.name for path in store.folder.iterdir()] == ["owner%2Ftiny"]
