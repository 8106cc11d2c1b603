"""The cache: whole entries, damage, races, names, folders."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ds2_fast.embedding import load_embedder
from ds2_fast.embedding import store as store_module
from ds2_fast.embedding.importing import import_model
from ds2_fast.embedding.store import ModelStore, default_cache
from ds2_fast.errors import ModelError
from tiny_bert import make_model


@pytest.fixture
def folder(tmp_path):
    return make_model(tmp_path / "m")


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "cache")


def names(store):
    return [model.name for model in store.models()]


@pytest.mark.parametrize(
    "name", ["m", "owner/m", "owner/m@main", "..", ".hidden", "a:b/c.onnx", "é ü"]
)
def test_any_name_is_found_again(store, folder, name):
    cached = import_model(folder, name, store=store, source={"folder": "x"})
    assert cached.path.parent == store.folder
    assert store.find(name) == cached
    assert names(store) == [name]
    store.remove(name)
    assert store.find(name) is None
    assert list(store.folder.iterdir()) == []


def test_a_cached_model_is_loaded_by_its_name(store, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "cache" if (tmp_path / "cache").exists() else "/")
    import_model(folder, "mine", store=store, source={})
    by_name = load_embedder("mine", cache_dir=tmp_path / "cache", offline=True)
    assert by_name.key == load_embedder(folder, cache_dir=tmp_path / "cache").key
    assert by_name.name == "mine"


def test_an_existing_folder_comes_before_a_cached_name(store, folder, tmp_path, monkeypatch):
    import_model(folder, "mine", store=store, source={})
    make_model(tmp_path / "here" / "mine", hidden=32)
    monkeypatch.chdir(tmp_path / "here")
    assert load_embedder("mine", cache_dir=tmp_path / "cache").dim == 32
    monkeypatch.chdir(tmp_path)
    assert load_embedder("mine", cache_dir=tmp_path / "cache").dim == 64


def test_a_folder_is_exported_once_and_again_when_it_changes(store, folder, tmp_path):
    load_embedder(folder, cache_dir=tmp_path / "cache")
    (first,) = store.models()
    stamp = (first.path / "model.onnx").stat().st_mtime_ns
    assert first.name.startswith("m:")
    load_embedder(folder, cache_dir=tmp_path / "cache")
    assert (first.path / "model.onnx").stat().st_mtime_ns == stamp
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 9}')
    assert load_embedder(folder, cache_dir=tmp_path / "cache").max_length == 9
    assert len(names(store)) == 2


def test_the_first_of_two_stays_unless_it_is_replaced(store, folder, tmp_path):
    first = import_model(folder, "m", store=store, source={"folder": "1"})
    other = make_model(tmp_path / "other", hidden=32)
    assert import_model(other, "m", store=store, source={"folder": "2"}) == first
    replaced = import_model(other, "m", store=store, source={"folder": "2"}, replace=True)
    assert (replaced.dim, replaced.source) == (32, {"folder": "2"})
    assert [path.name for path in store.folder.iterdir()] == ["m"]


def test_a_failed_import_leaves_nothing(store, folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json` is not a tokenizer"):
        import_model(folder, "m", store=store, source={})
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no `tokenizer\.json`"):
        import_model(folder, "m", store=store, source={})
    assert list(store.folder.iterdir()) == []


def test_the_checkpoint_is_not_copied(store, folder):
    cached = import_model(folder, "m", store=store, source={})
    assert "model.safetensors" not in cached.files
    assert cached.size == sum((cached.path / file).stat().st_size for file in cached.files)


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", "1_Pooling/config.json"])
def test_damage_is_found_before_a_vector_is_computed(store, folder, tmp_path, file):
    cached = import_model(folder, "m", store=store, source={})
    path = cached.path / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"the cached model `m` is damaged|is not valid JSON"):
        load_embedder("m", cache_dir=tmp_path / "cache")
    path.write_bytes(data[:-1])
    with pytest.raises(ModelError, match=f"damaged: `{file}` has") as caught:
        load_embedder("m", cache_dir=tmp_path / "cache")
    assert "ds2-fast model remove m" in caught.value.hint
    path.unlink()
    with pytest.raises(ModelError, match=r"cached model `m` .* is damaged"):
        store.find("m")
    store.remove("m")
    assert store.find("m") is None


def test_a_record_of_another_version_is_damage(store, folder):
    cached = import_model(folder, "m", store=store, source={})
    record = cached.path / "ds2-model.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(ModelError, match="its record is of format 99"):
        store.find("m")


def test_what_is_not_there_cannot_be_removed(store):
    with pytest.raises(ModelError, match="there is no model `m` in"):
        store.remove("m")
    assert names(store) == []


def test_what_killed_processes_left_is_swept_after_a_day(store, folder):
    store.folder.mkdir(parents=True)
    old, new = store.folder / ".new-old", store.folder / ".new-now"
    old.mkdir()
    new.mkdir()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    import_model(folder, "m", store=store, source={})
    assert sorted(path.name for path in store.folder.iterdir()) == [".new-now", "m"]
    assert names(store) == ["m"]


def test_the_cache_folder(monkeypatch, tmp_path):
    home = Path("/home/x")
    environment = {"LOCALAPPDATA": "C:/Local"}.get
    places = {
        platform: store_module._platform_cache(platform, home, environment)
        for platform in ("linux", "darwin", "win32")
    }
    assert places == {
        "linux": home / ".cache" / "ds2-fast",
        "darwin": home / "Library" / "Caches" / "ds2-fast",
        "win32": Path("C:/Local/ds2-fast/Cache"),
    }
    monkeypatch.delenv("DS2_FAST_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "ds2-fast"
    monkeypatch.setenv("DS2_FAST_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"
    assert ModelStore().folder == tmp_path / "own" / "models"
    assert ModelStore(tmp_path).folder == tmp_path / "models"
