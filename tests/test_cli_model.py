"""`ds2-fast model`: what the commands print, keep and refuse."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ds2_fast.cli.model import model
from ds2_fast.embedding import load_embedder
from ds2_fast.errors import ModelError
from tiny_bert import make_model


@pytest.fixture
def folder(tmp_path):
    return make_model(tmp_path / "tiny")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("DS2_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def invoke(*arguments):
        result = CliRunner().invoke(model, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_import_prints_the_folder_and_makes_the_name_usable(run, folder, tmp_path):
    result = run("import", folder, "--name", "owner/mine")
    path = tmp_path / "cache" / "models" / "owner%2Fmine"
    assert result.stdout == f"{path}\n"
    assert result.stderr == "owner/mine  64 columns  32 tokens  0.3 MB\n"
    assert load_embedder("owner/mine").embed(["the cat"]).shape == (1, 64)


def test_import_takes_the_folder_s_name(run, folder):
    run("import", folder)
    assert run("list").stdout == f"tiny  64 columns  32 tokens  0.3 MB  {folder}\n"


def test_import_replaces_only_when_told(run, folder, tmp_path):
    run("import", folder)
    other = make_model(tmp_path / "other", hidden=32)
    with pytest.raises(ModelError, match="there is a model `tiny` in the cache already") as caught:
        run("import", other, "--name", "tiny")
    assert caught.value.hint == "add --replace"
    run("import", other, "--name", "tiny", "--replace")
    assert load_embedder("tiny").dim == 32


@pytest.mark.parametrize("name", ["a b", "a/b/c", "a@b", "/a"])
def test_import_refuses_names_that_read_as_something_else(run, folder, name):
    result = run("import", folder, "--name", name)
    assert result.exit_code == 2
    assert f"`{name}` is not a name" in result.stderr


def test_import_names_an_onnx_file(run, folder):
    with pytest.raises(ModelError, match=r"has no `onnx/model_O4\.onnx`"):
        run("import", folder, "--onnx-file", "onnx/model_O4.onnx")


def test_list_and_show_as_json(run, folder):
    assert json.loads(run("list", "--json").stdout) == []
    assert run("list").stdout == ""
    run("import", folder)
    (listed,) = json.loads(run("list", "--json").stdout)
    assert listed == json.loads(run("show", "tiny", "--json").stdout)
    assert listed["name"] == "tiny"
    assert listed["source"] == {"folder": str(folder)}
    assert (listed["columns"], listed["tokens"], listed["onnx"]) == (64, 32, "model.onnx")
    assert "model.onnx" in listed["sha256"]


def test_show_lists_every_file_with_its_checksum(run, folder):
    run("import", folder)
    listed = json.loads(run("show", "tiny", "--json").stdout)
    lines = run("show", "tiny").stdout.splitlines()
    assert lines[0] == "name        tiny"
    for file, digest in listed["sha256"].items():
        assert any(line.split()[-2:] == [file, digest] for line in lines)


def test_show_and_remove_of_nothing(run):
    for command in ("show", "remove"):
        with pytest.raises(ModelError, match="there is no model `none` in") as caught:
            run(command, "none")
        assert "ds2-fast model list" in caught.value.hint


def test_remove(run, folder):
    run("import", folder)
    run("import", folder, "--name", "second")
    assert run("remove", "tiny", "second").stderr == "removed tiny\nremoved second\n"
    assert run("list").stdout == ""


def test_fetch_of_a_cached_model_asks_nobody(run, folder):
    run("import", folder, "--name", "owner/tiny")
    assert run("fetch", "owner/tiny").stdout.endswith("owner%2Ftiny\n")


def test_fetch_without_a_network_says_so(run):
    with pytest.raises(ModelError, match="and the network is off"):
        run("fetch", "owner/none")


def test_help_has_examples(run):
    text = run("--help").stdout
    assert "ds2-fast model fetch all-MiniLM-L6-v2\n" in text
    for command in ("import", "fetch", "list", "show", "remove"):
        assert f"\n  {command} " in text


def test_importing_the_modules_imports_nothing_heavy():
    code = "import sys, ds2_fast.embedding, ds2_fast.cli.model; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "ds2_fast.embedding.hub" in loaded
    heavy = {"onnxruntime", "tokenizers", "huggingface_hub", "httpx", "onnx", "polars", "litellm"}
    assert not loaded & heavy
