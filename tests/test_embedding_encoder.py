"""The encoder against a numpy forward pass: pooling, prompt, dense, truncation, blocks, threads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.embedding import load_embedder
from ds2_fast.embedding.bert import read_bert
from ds2_fast.embedding.bert_forward import bert_forward
from ds2_fast.embedding.onnx_engine import plan_batches
from ds2_fast.embedding.tokens import TextTokenizer, mend_surrogates
from ds2_fast.errors import ModelError
from tiny_bert import add_dense, add_modules, make_model, write_json

TEXTS = [
    "The sky is blue.",
    "",
    "Why was the cat in the city? Explain in one, two, three sentences, and sum the report!",
    "def add(a, b):\n    return a + b",
    "🙂🚀 \u200b nothing known 🎉",
    "[SEP] [CLS] literal",
    "dog",
]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DS2_FAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def embedder(tiny, tmp_path_factory):
    return load_embedder(tiny, cache_dir=tmp_path_factory.mktemp("cache"))


def token_ids(folder: Path, text: str, max_length: int) -> np.ndarray:
    """Tokenize by the library's own truncation, all at once."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return np.array(tokenizer.encode(text).ids)


def expected(folder: Path, text: str, pool, max_length: int = 32) -> np.ndarray:
    """Embed one text by the numpy forward pass and a pooling function."""
    config = json.loads((folder / "config.json").read_text())
    checkpoint = read_bert(config, folder / "model.safetensors", "tiny")
    row = pool(bert_forward(checkpoint, token_ids(folder, text, max_length)))
    return row / np.linalg.norm(row)


POOLINGS = {
    ("cls",): lambda hidden: hidden[0],
    ("mean",): lambda hidden: hidden.mean(axis=0),
    ("max",): lambda hidden: hidden.max(axis=0),
    ("mean_sqrt_len",): lambda hidden: hidden.sum(axis=0) / np.sqrt(len(hidden)),
    ("cls", "max", "mean", "mean_sqrt_len"): lambda hidden: np.concatenate(
        [
            hidden[0],
            hidden.max(axis=0),
            hidden.mean(axis=0),
            hidden.sum(axis=0) / np.sqrt(len(hidden)),
        ]
    ),
}


@pytest.mark.parametrize("modes", POOLINGS, ids="+".join)
@pytest.mark.parametrize(("hidden", "heads"), [(64, 2), (64, 1)], ids=["head32", "head64"])
def test_equals_the_forward_pass(tmp_path, cache, modes, hidden, heads):
    folder = make_model(tmp_path / "m", hidden=hidden, heads=heads, pooling=modes)
    rows = load_embedder(folder).embed(TEXTS)
    assert rows.dtype == np.float32
    assert rows.shape == (len(TEXTS), hidden * len(modes))
    for text, row in zip(TEXTS, rows, strict=True):
        # float32 against float64 through two layers: some 100 roundings of 6e-8 each.
        np.testing.assert_allclose(row, expected(folder, text, POOLINGS[modes]), atol=5e-6)


@pytest.mark.parametrize("activation", ["gelu_new", "gelu_python"])
def test_equals_the_forward_pass_with_either_gelu(tmp_path, cache, activation):
    folder = make_model(tmp_path / "m", activation=activation)
    rows = load_embedder(folder).embed(TEXTS)
    want = [expected(folder, text, POOLINGS[("mean",)]) for text in TEXTS]
    np.testing.assert_allclose(rows, want, atol=5e-6)


def test_the_two_gelus_differ(tmp_path, cache):
    exact = load_embedder(make_model(tmp_path / "a")).embed(TEXTS)
    tanh = load_embedder(make_model(tmp_path / "b", activation="gelu_new")).embed(TEXTS)
    assert np.abs(exact - tanh).max() > 5e-5


def test_dense_layers_follow_the_pooling(tmp_path, cache):
    folder = make_model(tmp_path / "m", pooling=None)
    add_modules(folder, ("mean",), "Dense")
    add_dense(folder, rows=64, columns=10, activation="Tanh")
    embedder = load_embedder(folder)
    assert embedder.dim == 10
    rng = np.random.default_rng(3)
    weight = rng.normal(0, 0.5, (10, 64)).astype(np.float32)
    bias = rng.normal(0, 0.5, 10).astype(np.float32)
    want = [
        expected(folder, text, lambda h: np.tanh(weight @ h.mean(axis=0) + bias)) for text in TEXTS
    ]
    np.testing.assert_allclose(embedder.embed(TEXTS), want, atol=5e-6)


def test_prompt_is_a_prefix_and_can_be_overridden(tmp_path, cache, tiny, embedder):
    folder = make_model(tmp_path / "m")
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "write a report: ", "other": "x"}, "default_prompt_name": "query"},
    )
    prompted = load_embedder(folder)
    want = embedder.embed(["write a report: " + text for text in TEXTS])
    np.testing.assert_array_equal(prompted.embed(TEXTS), want)
    np.testing.assert_array_equal(
        load_embedder(folder, prompt="").embed(TEXTS), embedder.embed(TEXTS)
    )
    keys = {prompted.key, embedder.key, load_embedder(folder, prompt="one").key}
    assert len(keys) == 3


def test_truncates_at_the_length_of_the_model_not_of_the_tokenizer(embedder, tiny):
    # tokenizer.json says 8, sentence_bert_config.json 32.
    long = " ".join(["cat dog river"] * 30)
    want = expected(tiny, long, POOLINGS[("mean",)], max_length=32)
    assert embedder.max_length == 32
    np.testing.assert_allclose(embedder.embed([long])[0], want, atol=5e-6)


@pytest.mark.parametrize(
    ("in_file", "positions", "want"), [(32, 48, 32), (400, 48, 48), (None, 48, 48)]
)
def test_length_is_clamped_to_the_positions(tmp_path, cache, in_file, positions, want):
    folder = make_model(tmp_path / "m", max_length=in_file, positions=positions)
    embedder = load_embedder(folder)
    assert embedder.max_length == want
    assert np.isfinite(embedder.embed(["cat " * 500])).all()


def test_length_can_be_chosen_up_to_the_positions(tiny, cache):
    assert load_embedder(tiny, max_length=4).max_length == 4
    with pytest.raises(ModelError, match="49 tokens is more than the 48"):
        load_embedder(tiny, max_length=49)
    with pytest.raises(ModelError, match="2 tokens leaves no room beside 2 special"):
        load_embedder(tiny, max_length=2)


def test_a_text_of_a_megabyte_gets_the_vector_of_all_its_tokens(embedder, tiny):
    texts = [
        "the cat and the dog " * 50_000,
        "x" * 1_000_000,
        " \n" * 300_000 + "cat" + " dog" * 200_000,
        "cat" + " " * 900_000 + "dog",
        "\u200b \u200b" * 300_000 + " river",
    ]
    rows = embedder.embed(texts)
    for text, row in zip(texts, rows, strict=True):
        want = expected(tiny, text, POOLINGS[("mean",)])
        np.testing.assert_allclose(row, want, atol=5e-6)


@given(
    st.lists(
        st.sampled_from(
            ["cat", "dog ", " ", "\n", "\t", "\x1c", "x", "🙂", "[SEP]", "é", "\u00a0"]
        ),
        max_size=400,
    )
)
def test_cutting_before_tokenizing_keeps_the_ids(tiny, pieces):
    text = "".join(pieces)
    tokenizer = TextTokenizer(tiny / "tokenizer.json", max_length=5)
    (ids,) = tokenizer.encode([text])
    np.testing.assert_array_equal(ids, token_ids(tiny, text, 5))


def test_lone_surrogates_are_mended(embedder):
    half = json.loads(r'"cat \ud83d dog"')
    pair = half.replace(" dog", "\ude42 dog")
    assert mend_surrogates(half) == "cat \ufffd dog"
    assert mend_surrogates(pair) == "cat 🙂 dog"
    assert mend_surrogates("plain é") == "plain é"
    rows = embedder.embed([half, "cat \ufffd dog"])
    np.testing.assert_array_equal(rows[0], rows[1])


def test_lowercases_where_the_model_says_so(tmp_path, cache):
    folder = make_model(tmp_path / "m")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    write_json(folder / "tokenizer.json", tokenizer)
    cased = load_embedder(folder).embed(["CAT", "cat"])
    assert np.abs(cased[0] - cased[1]).max() > 0.01
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": True})
    lowered = load_embedder(folder).embed(["CAT", "cat"])
    np.testing.assert_array_equal(lowered[0], lowered[1])


def many_texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    words = ["the", "cat", "dog", "river", "city", "sky", "write", "explain", "report", "one"]
    return [" ".join(rng.choice(words, rng.integers(0, 40))) for _ in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_blocks_have_the_same_bytes_for_any_thread_count_and_start(tiny, cache, threads):
    texts = many_texts(300)
    reference = load_embedder(tiny, threads=3)
    whole = np.concatenate(list(reference.embed_blocks(texts, block_rows=64)))
    other = load_embedder(tiny, threads=threads)
    for start in (0, 64, 256):
        rest = np.concatenate(list(other.embed_blocks(texts, start=start, block_rows=64)))
        assert rest.tobytes() == whole[start:].tobytes()
    assert not list(other.embed_blocks(texts, start=320, block_rows=64))
    assert other.key == reference.key


def test_rows_are_of_unit_length_and_hardly_depend_on_the_block(embedder):
    texts = many_texts(100)
    rows = embedder.embed(texts)
    np.testing.assert_allclose(np.linalg.norm(rows.astype(np.float64), axis=1), 1, atol=1e-7)
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    np.testing.assert_allclose(rows, alone, atol=2e-6)


def test_equal_texts_get_equal_rows(embedder):
    texts = ["cat", "the dog", "cat", "a river in the city", "cat"]
    rows = embedder.embed(texts)
    assert rows[0].tobytes() == rows[2].tobytes() == rows[4].tobytes()
    assert rows[0].tobytes() != rows[1].tobytes()


def test_nothing_gives_nothing(embedder):
    assert embedder.embed([]).shape == (0, 64)
    assert list(embedder.embed_blocks([])) == []


def test_progress_counts_texts_and_ends_at_the_total(embedder):
    seen = []
    list(
        embedder.embed_blocks(many_texts(150), block_rows=64, progress=lambda *at: seen.append(at))
    )
    assert seen[-1] == (150, 150)
    assert seen == sorted(seen)
    assert len(seen) >= 3
    assert {(64, 150), (128, 150)} <= set(seen)


def test_progress_may_stop_the_work(embedder):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedder.embed(many_texts(50), progress=stop)
    assert embedder.embed(["cat"]).shape == (1, 64)


def test_misuse_is_named(embedder, tiny, cache):
    with pytest.raises(TypeError, match="text 1 is a NoneType, not a string"):
        embedder.embed(["cat", None])
    with pytest.raises(TypeError, match="text 65 is a int"):
        list(embedder.embed_blocks(["cat"] * 65 + [3], block_rows=64))
    with pytest.raises(ValueError, match="start must be a multiple of 64, got 65"):
        list(embedder.embed_blocks(["cat"] * 100, start=65, block_rows=64))
    with pytest.raises(ValueError, match="block_rows must be at least 1, got 0"):
        list(embedder.embed_blocks(["cat"], block_rows=0))
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        load_embedder(tiny, threads=0)


def test_a_vector_that_is_not_finite_is_refused_with_its_row(embedder, monkeypatch):
    rows = embedder._engine.rows

    def broken(token_ids, progress):
        result = rows(token_ids, progress).copy()
        result[[len(ids) == 3 for ids in token_ids]] = np.nan
        return result

    monkeypatch.setattr(embedder._engine, "rows", broken)
    with pytest.raises(ModelError, match="zero or not finite for text 2"):
        embedder.embed(["the dog", "the cat", "dog"])


def test_the_key_names_what_decides_the_vectors(tmp_path, cache, tiny, embedder):
    assert load_embedder(tiny).key == embedder.key
    assert load_embedder(tiny, max_length=31).key != embedder.key
    assert load_embedder(make_model(tmp_path / "seed", seed=8)).key != embedder.key
    assert load_embedder(make_model(tmp_path / "pool", pooling=("cls",))).key != embedder.key
    assert load_embedder(make_model(tmp_path / "elsewhere")).key == embedder.key


@given(st.lists(st.integers(1, 600), max_size=80), st.integers(1, 1000))
def test_batches_hold_each_text_once_within_the_budget(lengths, budget):
    lengths = np.array(lengths, np.int64)
    batches = plan_batches(lengths, budget)
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or lengths[batch].max() * len(batch) <= budget
        assert lengths[batch[0]] == lengths[batch].max()
