"""Checkpoints to ONNX: what is read, what is written, and what is refused by name."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from ds2_fast.embedding import load_embedder
from ds2_fast.embedding.bert import read_bert
from ds2_fast.embedding.bert_graph import build_bert_graph
from ds2_fast.embedding.safetensors import read_safetensors
from ds2_fast.errors import ModelError
from tiny_bert import bert_tensors, encode, make_model, write_json, write_safetensors


def read(folder):
    config = json.loads((folder / "config.json").read_text())
    return read_bert(config, folder / "model.safetensors", "tiny")


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_safetensors_round_trip(tmp_path, dtype):
    rng = np.random.default_rng(0)
    tensors = {
        "matrix": rng.normal(size=(3, 5)).astype(np.float32),
        "scalar": np.float32(2.5).reshape(()),
        "empty": np.zeros((0, 4), np.float32),
    }
    path = tmp_path / "x.safetensors"
    write_safetensors(path, tensors, dtype)
    got = read_safetensors(path)
    assert list(got) == list(tensors)
    step = {"F64": 0, "F32": 0, "F16": 2**-11, "BF16": 2**-7}[dtype]
    for name, tensor in tensors.items():
        assert got[name].dtype == np.float32
        assert got[name].shape == tensor.shape
        np.testing.assert_allclose(got[name], tensor, rtol=step, atol=1e-7)


def test_bf16_is_the_upper_half_of_a_float32():
    values = np.array([1.0, -2.5, 3.140625], np.float32)
    assert np.array_equal(
        (np.frombuffer(encode(values, "BF16"), "<u2").astype("<u4") << 16).view("<f4"), values
    )


def test_integer_tensors_are_left_out(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"embeddings.position_ids": np.arange(4)}, "I64")
    assert read_safetensors(path) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no valid header"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "no valid header"),
        (struct.pack("<Q", 4) + b"[1]\n", "no valid header"),
        (struct.pack("<Q", 10**12) + b"{}", "no valid header"),
    ],
)
def test_what_is_not_safetensors_is_refused(tmp_path, content, message):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_safetensors(path)


def test_damaged_safetensors_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": np.ones((2, 2), np.float32)})
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ModelError, match="tensor `a` ends at byte"):
        read_safetensors(path)
    path.write_bytes(whole.replace(b"[2, 2]", b"[2, 3]"))
    with pytest.raises(ModelError, match=r"tensor `a` of shape \[2, 3\] has 4 values"):
        read_safetensors(path)
    path.write_bytes(whole.replace(b'"F32"', b'"F8_"'))
    with pytest.raises(ModelError, match="type F8_; F64, F32, F16 and BF16 are read"):
        read_safetensors(path)
    path.write_bytes(whole.replace(b'"shape"', b'"shipe"'))
    with pytest.raises(ModelError, match="tensor `a` has no valid header"):
        read_safetensors(path)


def test_the_graph_is_valid_and_uses_plain_operators(tmp_path):
    import onnx

    model = build_bert_graph(read(make_model(tmp_path / "m")))
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert "SkipLayerNormalization" not in {node.op_type for node in model.graph.node}
    assert [value.name for value in model.graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in model.graph.output] == ["last_hidden_state"]


def test_the_graph_is_deterministic(tmp_path):
    checkpoint = read(make_model(tmp_path / "m"))
    first, second = (build_bert_graph(checkpoint).SerializeToString(True) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_half_precision_checkpoints_are_exported_as_their_float32(tmp_path, monkeypatch, dtype):
    monkeypatch.setenv("DS2_FAST_CACHE", str(tmp_path / "cache"))
    half = make_model(tmp_path / "half", dtype=dtype)
    wide = make_model(tmp_path / "wide")
    write_safetensors(wide / "model.safetensors", read_safetensors(half / "model.safetensors"))
    texts = ["the cat", "a river in the city"]
    np.testing.assert_array_equal(
        load_embedder(half).embed(texts), load_embedder(wide).embed(texts)
    )


def test_names_of_task_models_and_of_tensorflow_are_understood(tmp_path):
    plain = read(make_model(tmp_path / "plain"))
    prefixed = read(make_model(tmp_path / "prefixed", prefix="bert."))
    np.testing.assert_array_equal(plain.words, prefixed.words)
    folder = make_model(tmp_path / "old")
    tensors = read_safetensors(folder / "model.safetensors")
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in tensors.items()
    }
    assert renamed.keys() != tensors.keys()
    write_safetensors(folder / "model.safetensors", renamed)
    np.testing.assert_array_equal(read(folder).norm[0], plain.norm[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mpnet"}, "`model_type` is `mpnet`; only `bert` can be exported"),
        ({"model_type": None}, "`model_type` is `None`"),
        ({"position_embedding_type": "relative_key"}, "is `relative_key`, not `absolute`"),
        ({"position_embedding_type": "alibi"}, "is `alibi`"),
        ({"hidden_act": "silu"}, "`hidden_act` is `silu`, not of the gelu family"),
        ({"rope_theta": 10000.0}, "`rope_theta` is set"),
        ({"rotary_emb_fraction": 1.0}, "`rotary_emb_fraction` is set"),
        ({"alibi": True}, "`alibi` is set"),
        ({"auto_map": {"AutoModel": "x"}}, "`auto_map` is set"),
        ({"is_decoder": True}, "`is_decoder` is set"),
        ({"feed_forward_type": "geglu"}, "`feed_forward_type` is set"),
        ({"num_attention_heads": 3}, "hidden size 64 is no multiple of 3 heads"),
        ({"num_hidden_layers": 3}, r"tensor `encoder\.layer\.2\.\S+` is missing"),
        ({"num_hidden_layers": 1}, r"`encoder\.layer\.1\.\S+` is not part of a BERT encoder"),
        ({"intermediate_size": 100}, r"has shape \(96, 64\), expected \(100, 64\)"),
        ({"vocab_size": 5}, r"word_embeddings\.weight` has shape"),
    ],
)
def test_networks_that_are_not_a_plain_bert_are_refused_by_name(tmp_path, change, message):
    folder = make_model(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, **change})
    with pytest.raises(ModelError, match=message):
        read(folder)


def test_missing_sizes_are_named(tmp_path):
    folder = make_model(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    del config["hidden_size"]
    write_json(folder / "config.json", config)
    with pytest.raises(ModelError, match="lacks a valid value of 'hidden_size'"):
        read(folder)


def test_tensors_of_another_network_are_refused(tmp_path):
    folder = make_model(tmp_path / "m")
    tensors = bert_tensors(hidden=64, layers=2, feed_forward=96, positions=48, seed=7)
    extra = {
        "encoder.layer.0.attention.self.distance_embedding.weight": np.ones((3, 3), np.float32)
    }
    write_safetensors(folder / "model.safetensors", {**tensors, **extra})
    with pytest.raises(ModelError, match=r"distance_embedding\.weight` is not part of a BERT"):
        read(folder)


def test_a_missing_exporter_is_named_with_the_way_to_install_it(tmp_path, monkeypatch):
    import ds2_fast.embedding.bert_graph as module

    folder = make_model(tmp_path / "m")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="needs the package `onnx`") as caught:
        load_embedder(folder, cache_dir=tmp_path / "cache")
    assert caught.value.hint.startswith('pip install "ds2-fast[export]"')
    assert not list((tmp_path / "cache" / "models").iterdir())
