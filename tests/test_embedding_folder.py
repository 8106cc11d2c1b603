"""What the small files of a model folder say, and what is refused."""

from __future__ import annotations

import json

import pytest

from ds2_fast.embedding.folder import read_model_folder
from ds2_fast.errors import ModelError
from tiny_bert import add_dense, add_modules, make_model, write_json


@pytest.fixture
def folder(tmp_path):
    return make_model(tmp_path / "m")


def change(path, **values):
    config = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, {**config, **values})


def test_reads_the_layout_of_sentence_transformers(folder):
    read = read_model_folder(folder)
    assert (read.max_length, read.positions, read.pad_id) == (32, 48, 0)
    assert (read.pooling, read.prompt, read.dense, read.notes) == (("mean",), "", (), ())
    assert read.include_prompt
    assert not read.lowercase


def test_a_bare_network_is_averaged_with_a_note(tmp_path):
    read = read_model_folder(make_model(tmp_path / "bare", pooling=None))
    assert read.pooling == ("mean",)
    assert read.notes == ("`bare` has no modules.json: its token vectors are averaged",)


@pytest.mark.parametrize(
    ("config", "want"),
    [
        ({"pooling_mode": "cls"}, ("cls",)),
        ({"pooling_mode": ["mean", "cls"]}, ("cls", "mean")),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, ("mean_sqrt_len",)),
        (
            {"pooling_mode_max_tokens": True, "pooling_mode_cls_token": True},
            ("cls", "max"),
        ),
    ],
)
def test_both_spellings_of_the_pooling(folder, config, want):
    write_json(folder / "1_Pooling" / "config.json", config)
    assert read_model_folder(folder).pooling == want


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"pooling_mode_lasttoken": True}, "mode `lasttoken`, which is not supported"),
        ({"pooling_mode_weightedmean_tokens": True}, "mode `weightedmean`"),
        ({"pooling_mode": "attention"}, "mode `attention`"),
        ({"pooling_mode_cls_token": False}, "asks for no mode"),
    ],
)
def test_unknown_poolings_are_refused(folder, config, message):
    write_json(folder / "1_Pooling" / "config.json", config)
    with pytest.raises(ModelError, match=message):
        read_model_folder(folder)


@pytest.mark.parametrize("kind", ["LSTM", "WeightedLayerPooling", "Dense", "Transformer"])
def test_modules_out_of_place_are_refused(folder, kind):
    steps = json.loads((folder / "modules.json").read_text())
    steps.insert(1, {"path": "", "type": f"sentence_transformers.models.{kind}"})
    write_json(folder / "modules.json", steps)
    with pytest.raises(ModelError, match=f"module `{kind}` at place 1"):
        read_model_folder(folder)


def test_modules_json_must_be_a_list_with_a_pooling(folder):
    write_json(folder / "modules.json", {"a": 1})
    with pytest.raises(ModelError, match="not a list of modules"):
        read_model_folder(folder)
    write_json(folder / "modules.json", [{"path": "", "type": "x.Transformer"}])
    with pytest.raises(ModelError, match="lists no Pooling module"):
        read_model_folder(folder)


def test_dense_layers_are_checked(tmp_path):
    folder = make_model(tmp_path / "m", pooling=None)
    add_modules(folder, ("mean",), "Dense")
    with pytest.raises(ModelError, match=r"it has no `config\.json`"):
        read_model_folder(folder)
    add_dense(folder, rows=64, columns=4, activation="Mish")
    with pytest.raises(ModelError, match="activation `Mish`; known are Identity, Tanh"):
        read_model_folder(folder)
    change(
        folder / "2_Dense" / "config.json", activation_function="torch.nn.modules.linear.Identity"
    )
    (dense,) = read_model_folder(folder).dense
    assert dense.weight.shape == (64, 4)
    assert dense.activation == "Identity"
    (folder / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        read_model_folder(folder)


def test_roberta_never_uses_its_first_positions(folder):
    change(folder / "config.json", model_type="xlm-roberta", pad_token_id=1)
    change(folder / "sentence_bert_config.json", max_seq_length=512)
    read = read_model_folder(folder)
    assert (read.positions, read.max_length, read.pad_id) == (46, 46, 1)


def test_the_tokenizer_s_limit_serves_where_no_length_is_written(folder):
    (folder / "sentence_bert_config.json").unlink()
    change(folder / "tokenizer_config.json", model_max_length=20)
    assert read_model_folder(folder).max_length == 20
    change(folder / "tokenizer_config.json", model_max_length=int(1e30))
    assert read_model_folder(folder).max_length == 48
    change(folder / "config.json", max_position_embeddings=None)
    with pytest.raises(ModelError, match="does not say how many tokens"):
        read_model_folder(folder)


def test_older_names_of_the_length_file(folder):
    (folder / "sentence_bert_config.json").rename(folder / "sentence_roberta_config.json")
    assert read_model_folder(folder).max_length == 32


def test_a_default_prompt_must_be_defined(folder):
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "query: "}, "default_prompt_name": None},
    )
    assert read_model_folder(folder).prompt == ""
    change(folder / "config_sentence_transformers.json", default_prompt_name="query")
    assert read_model_folder(folder).prompt == "query: "
    change(folder / "config_sentence_transformers.json", default_prompt_name="passage")
    with pytest.raises(ModelError, match="default prompt `passage` but does not define it"):
        read_model_folder(folder)


def test_truncation_from_the_left_is_refused(folder):
    write_json(folder / "tokenizer_config.json", {"truncation_side": "left"})
    with pytest.raises(ModelError, match="truncates texts from the left"):
        read_model_folder(folder)


def test_broken_json_is_named(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json` is not valid JSON"):
        read_model_folder(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ModelError, match=r"config\.json` must hold a JSON object"):
        read_model_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"is not a model folder: it has no `config\.json`"):
        read_model_folder(folder)
