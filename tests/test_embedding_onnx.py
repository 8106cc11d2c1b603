"""ONNX files as others write them: inputs, outputs, and dynamic int8."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ds2_fast.embedding import load_embedder
from ds2_fast.embedding.importing import export_bert, import_model
from ds2_fast.embedding.store import ModelStore
from ds2_fast.errors import ModelError
from tiny_bert import VOCABULARY, make_model

TEXTS = ["the cat", "a river in the city, one two three", "", "sum the report"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model folder that holds an ONNX file alone, and a cache beside it."""
    monkeypatch.setenv("DS2_FAST_CACHE", str(tmp_path / "cache"))
    folder = make_model(tmp_path / "m")
    (folder / "onnx").mkdir()
    export_bert(folder, folder / "onnx" / "model.onnx", "tiny")
    (folder / "model.safetensors").unlink()
    return folder


def write_graph(
    path,
    *,
    inputs=("input_ids", "attention_mask"),
    kind=TensorProto.INT64,
    output="last_hidden_state",
    shape=("batch", "tokens"),
    quantized=False,
):
    """Write a graph that looks tokens up in a table; `sentence_embedding` averages them."""
    rng = np.random.default_rng(1)
    table = rng.normal(size=(len(VOCABULARY), 6)).astype(np.float32)
    weights = [numpy_helper.from_array(table, "table")]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["hidden"])]
    last = "hidden"
    if quantized:
        matrix = rng.integers(-127, 127, (6, 6)).astype(np.int8)
        weights += [numpy_helper.from_array(matrix, "matrix")]
        nodes += [
            helper.make_node("DynamicQuantizeLinear", ["hidden"], ["q", "scale", "zero"]),
            helper.make_node("MatMulInteger", ["q", "matrix", "zero"], ["product"]),
            helper.make_node("Cast", ["product"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        ]
        last = "scaled"
    if "token_type_ids" in inputs:
        # Zero for a single text, so the result stays; anything else would change it.
        weights += [numpy_helper.from_array(np.array([2]), "axis")]
        nodes += [
            helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["types", "axis"], ["wide"]),
            helper.make_node("Add", [last, "wide"], ["typed"]),
        ]
        last = "typed"
    dims = ["batch", "tokens", 6]
    if output == "sentence_embedding":
        weights += [numpy_helper.from_array(np.array([1]), "one")]
        nodes += [helper.make_node("ReduceMax", [last, "one"], ["sentence_embedding"], keepdims=0)]
        dims = ["batch", 6]
    else:
        nodes += [helper.make_node("Identity", [last], [output])]
    graph = helper.make_graph(
        nodes,
        "lookup",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, dims)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return table


def test_a_folder_with_an_onnx_file_is_used_where_it_is(folder, tmp_path):
    embedder = load_embedder(folder)
    assert embedder.embed(TEXTS).shape == (4, 64)
    assert embedder.name == "m"
    assert not (tmp_path / "cache").exists()


def test_an_onnx_file_is_found_with_its_tokenizer_beside_or_above(folder, tmp_path):
    want = load_embedder(folder)
    above = load_embedder(folder / "onnx" / "model.onnx")
    assert above.key == want.key
    shutil.copy(folder / "onnx" / "model.onnx", folder / "model.onnx")
    np.testing.assert_array_equal(
        load_embedder(folder / "model.onnx").embed(TEXTS), want.embed(TEXTS)
    )
    lonely = tmp_path / "lonely" / "deep" / "model.onnx"
    lonely.parent.mkdir(parents=True)
    shutil.copy(folder / "model.onnx", lonely)
    with pytest.raises(ModelError, match=r"no tokenizer\.json beside"):
        load_embedder(lonely)


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64])
@pytest.mark.parametrize("more", [(), ("token_type_ids",)])
@pytest.mark.parametrize("output", ["last_hidden_state", "token_embeddings"])
def test_inputs_by_name_and_type_and_either_name_of_the_output(folder, kind, more, output):
    inputs = ("input_ids", "attention_mask", *more)
    table = write_graph(folder / "onnx" / "model.onnx", inputs=inputs, kind=kind, output=output)
    (row,) = load_embedder(folder).embed(["the cat"])
    ids = [VOCABULARY.index(token) for token in ("[CLS]", "the", "cat", "[SEP]")]
    want = table[ids].mean(axis=0)
    np.testing.assert_allclose(row, want / np.linalg.norm(want), atol=1e-6)


def test_a_sentence_embedding_is_taken_as_it_is(folder):
    table = write_graph(folder / "onnx" / "model.onnx", output="sentence_embedding")
    (row,) = load_embedder(folder).embed(["the cat"])
    ids = [VOCABULARY.index(token) for token in ("[CLS]", "the", "cat", "[SEP]")]
    want = table[ids].max(axis=0)
    np.testing.assert_allclose(row, want / np.linalg.norm(want), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": ("input_ids", "pixel_values")}, "has the input `pixel_values` of type"),
        ({"output": "logits"}, "has the outputs logits; expected sentence_embedding"),
        ({"shape": (1, "tokens")}, "takes inputs of the fixed shape"),
    ],
)
def test_other_graphs_are_refused(folder, options, message):
    write_graph(folder / "onnx" / "model.onnx", **options)
    with pytest.raises(ModelError, match=message):
        load_embedder(folder)


@pytest.mark.parametrize("content", [b"", b"not a protocol buffer"])
def test_what_is_no_onnx_file_is_refused(folder, content):
    (folder / "onnx" / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="onnxruntime cannot load"):
        load_embedder(folder)


def test_dynamic_int8_is_refused_under_the_usual_name(folder):
    write_graph(folder / "onnx" / "model.onnx", quantized=True)
    with pytest.raises(
        ModelError, match="vector of a text depends on the texts beside it"
    ) as caught:
        load_embedder(folder)
    assert "--onnx-file" in caught.value.hint


def test_dynamic_int8_is_never_picked_up(folder):
    write_graph(folder / "onnx" / "model_quantized.onnx", quantized=True)
    float32 = load_embedder(folder)
    (folder / "onnx" / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"it has only onnx/model_quantized\.onnx") as caught:
        load_embedder(folder)
    assert "--onnx-file" in caught.value.hint
    assert float32.notes == ()


def test_dynamic_int8_is_used_with_a_warning_when_named(folder):
    write_graph(folder / "onnx" / "model_quantized.onnx", quantized=True)
    for named in (
        load_embedder(folder, onnx_file="onnx/model_quantized.onnx"),
        load_embedder(folder / "onnx" / "model_quantized.onnx"),
    ):
        assert len(named.notes) == 1
        assert "depends on the texts beside it" in named.notes[0]
        assert named.embed(TEXTS).shape == (4, 6)


def test_a_named_file_that_is_not_there_is_refused(folder):
    with pytest.raises(ModelError, match=r"has no file `onnx/model_O4\.onnx`"):
        load_embedder(folder, onnx_file="onnx/model_O4.onnx")


def test_a_prompt_outside_of_the_pooling_is_refused(folder):
    (folder / "1_Pooling" / "config.json").write_text(
        '{"pooling_mode_mean_tokens": true, "include_prompt": false}'
    )
    assert load_embedder(folder).dim == 64
    with pytest.raises(ModelError, match="leaves its prompt out of the pooling"):
        load_embedder(folder, prompt="query: ")


def test_the_self_test_finds_a_graph_that_ignores_its_mask(folder, tmp_path):
    # The largest value over padding too: a text beside longer ones gets another vector.
    write_graph(folder / "onnx" / "model.onnx", output="sentence_embedding")
    store = ModelStore(tmp_path / "cache")
    with pytest.raises(ModelError, match="depend on the texts embedded beside them: cosine 0"):
        import_model(folder, "m", store=store, source={})
    assert store.find("m") is None


def test_the_self_test_finds_a_graph_that_differs_from_its_checkpoint(tmp_path, monkeypatch):
    import ds2_fast.embedding.importing as module

    right = module.read_bert

    def wrong(config, weights, where):
        checkpoint = right(config, weights, where)
        checkpoint.layers[1].expand[0][:, 0] += 5
        return checkpoint

    folder = make_model(tmp_path / "m")
    exported = module.export_bert

    def export_wrong(source, target, name):
        monkeypatch.setattr(module, "read_bert", wrong)
        exported(source, target, name)
        return right(module.read_json(source / "config.json"), source / "model.safetensors", name)

    monkeypatch.setattr(module, "export_bert", export_wrong)
    with pytest.raises(ModelError, match="differ from its checkpoint's: cosine 0"):
        import_model(folder, "m", store=ModelStore(tmp_path / "cache"), source={})
