"""Losses by an ONNX model: worked by hand, and equal to the slow twin whatever stands beside."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest

from ds2_fast.embedding.opening import sha256_file
from ds2_fast.errors import ModelError, RunError
from ds2_fast.losses import (
    Losses,
    make_exchanges,
    measure_exchanges,
    measure_losses,
    open_causal_lm,
)
from ds2_fast.losses.likelihood import mean_loss
from ds2_fast.losses.onnx_lm import BLOCK_ROWS
from ds2_fast.rating.lock import run_lock
from tiny_bert import make_model
from tiny_causal import (
    IDS,
    TOKENS,
    WORDS,
    attention_forward,
    bigram_logits,
    losses_of,
    make_folder,
)


@pytest.fixture(scope="module")
def bigram(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("lm") / "bigram")


@pytest.fixture(scope="module")
def attention(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("lm") / "attention", "attention")


def ids_of(text: str) -> list[int]:
    return [IDS[word] for word in text.split()]


def same(a: Losses, b: Losses) -> bool:
    return all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes()
        for name in ("conditioned", "direct", "tokens")
    ) and list(a.status) == list(b.status)


def draw(rng: np.random.Generator, most: int) -> str:
    return " ".join(rng.choice(WORDS[2:], rng.integers(0, most)))


def test_a_case_worked_by_hand(tmp_path):
    # After any word `blue` has 1/2, `red` 1/4, the other ten words 1/40 each; after `the`, `sky`
    # has 1/2 and `red` 1/2.
    chances = np.full((len(WORDS), len(WORDS)), 1 / 40)
    chances[:, IDS["blue"]], chances[:, IDS["red"]] = 1 / 2, 1 / 4
    chances[IDS["the"]] = 1e-30
    chances[IDS["the"], [IDS["sky"], IDS["red"]]] = 1 / 2
    folder = make_folder(tmp_path / "lm", logits=np.log(chances).astype(np.float32))
    found = measure_losses(
        ["why ?", "is the", "why ?"], ["blue red the sky", "red blue", "blue"], folder
    )
    # blue after ?: 1/2; red 1/4; the 1/40; sky after the: 1/2. Alone, nothing predicts blue.
    first = math.log(2 * 4 * 40 * 2) / 4
    first_alone = math.log(4 * 40 * 2) / 3
    # red after the: 1/2; blue after red: 1/2.
    assert np.allclose(found.conditioned, [first, math.log(2), math.log(2)], rtol=1e-6)
    assert np.allclose(found.direct[:2], [first_alone, math.log(2)], rtol=1e-6)
    assert np.isnan(found.direct[2])
    assert found.tokens.tolist() == [4, 2, 1]
    assert found.status.tolist() == ["measured", "measured", "one_token"]
    assert found.conditioned.dtype == found.direct.dtype == np.float64
    assert found.tokens.dtype == np.int32


def test_a_special_token_at_the_head_lets_the_first_word_count(tmp_path):
    folder = make_folder(tmp_path / "lm", head=True)
    found = measure_losses(["why"], ["blue red"], folder)
    table = bigram_logits()
    both, alone = ids_of("<s> why blue red"), ids_of("<s> blue red")
    assert found.conditioned[0] == pytest.approx(losses_of(table[both], both, 2).mean(), rel=1e-6)
    assert found.direct[0] == pytest.approx(losses_of(table[alone], alone, 1).mean(), rel=1e-6)


def test_the_template_of_cherry_gives_the_response_alone_its_header(bigram):
    found = measure_losses(["why"], ["blue red"], bigram, template="response")
    # The words of the header are unknown to this tokenizer: `###`, `Response`, `:`.
    header = [IDS["[UNK]"]] * 3
    both, alone = [*ids_of("why"), *header, *ids_of("blue red")], [*header, *ids_of("blue red")]
    table = bigram_logits()
    assert found.conditioned[0] == pytest.approx(losses_of(table[both], both, 4).mean(), rel=1e-6)
    assert found.direct[0] == pytest.approx(losses_of(table[alone], alone, 3).mean(), rel=1e-6)
    assert found.tokens[0] == 2


@pytest.mark.parametrize("seed", range(3))
def test_attention_with_a_past_equals_its_slow_twin(attention, seed):
    rng = np.random.default_rng(seed)
    prompts = [draw(rng, 8) for _ in range(40)]
    responses = [draw(rng, 12) for _ in range(40)]
    found = measure_losses(prompts, responses, attention, threads=2)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        before, alone = ids_of(prompt), ids_of(response)
        given = losses_of(attention_forward(before + alone), before + alone, len(before))
        lone = losses_of(attention_forward(alone), alone, 0) if alone else []
        assert found.tokens[row] == len(given)
        for value, wanted in ((found.conditioned[row], given), (found.direct[row], lone)):
            if len(wanted) and len(given):
                assert value == pytest.approx(np.mean(wanted), rel=1e-5)
            else:
                assert math.isnan(value)


def test_what_is_truncated_is_not_counted(attention):
    words = " ".join(WORDS[2:10])
    long = " ".join([words] * 10)
    prompts = [words, long, "why", " ".join([words] * 4)]
    responses = [long, words, "", "red"]
    found = measure_losses(prompts, responses, attention)
    assert found.tokens.tolist() == [TOKENS - 8, 0, 0, 0]
    assert found.status.tolist() == ["measured", "truncated", "empty", "truncated"]
    assert np.isnan(found.conditioned[1:]).all() and np.isnan(found.direct[1:]).all()
    # Of the response alone as many tokens are counted as after the prompt: 24 and the first.
    ids = ids_of(words) + ids_of(long)[: TOKENS - 8]
    alone = ids_of(long)[: TOKENS - 8 + 1]
    given = losses_of(attention_forward(ids), ids, 8)
    lone = losses_of(attention_forward(alone), alone, 0)
    assert len(given) == len(lone)
    assert found.conditioned[0] == pytest.approx(given.mean(), rel=1e-5)
    assert found.direct[0] == pytest.approx(lone.mean(), rel=1e-5)


def test_the_bytes_do_not_depend_on_threads_and_hardly_on_neighbors(attention):
    rng = np.random.default_rng(1)
    prompts = [draw(rng, 8) for _ in range(600)]
    responses = [draw(rng, 20) for _ in range(600)]
    one = measure_losses(prompts, responses, attention, threads=1)
    assert same(one, measure_losses(prompts, responses, attention, threads=4))
    lm = open_causal_lm(attention)
    for row in range(0, 600, 97):
        alone = measure_losses([prompts[row]], [responses[row]], lm)
        assert alone.conditioned == pytest.approx(one.conditioned[row], abs=1e-5, nan_ok=True)


def test_a_graph_that_rounds_by_the_batch_gets_one_sequence_at_a_time(tmp_path):
    # The word `cat` has logits so large that whatever shares its batch is rounded to nothing.
    table = bigram_logits()
    table[IDS["cat"]] *= 100
    folder = make_folder(tmp_path / "lm", "quantized", logits=table)
    prompts, responses = ["why", "the", "cat"], ["sky is blue", "red dog", "cat cat"]
    together = measure_losses(prompts, responses, folder)
    alone = [measure_losses([p], [r], folder) for p, r in zip(prompts, responses, strict=True)]
    assert together.conditioned.tolist() == [one.conditioned[0] for one in alone]
    exact = measure_losses(prompts, responses, make_folder(tmp_path / "exact", logits=table))
    assert together.conditioned[:2] == pytest.approx(exact.conditioned[:2], abs=0.1)
    assert together.conditioned[0] != exact.conditioned[0]


def test_equal_samples_are_measured_once(bigram):
    lm = open_causal_lm(bigram)
    asked = []
    measure = lm.measure_block
    lm.measure_block = lambda exchanges, begin, progress: (
        asked.append(len(exchanges)) or measure(exchanges, begin, progress)
    )
    found = measure_losses(["why"] * 500, ["red blue"] * 500, lm)
    assert asked == [1]
    assert len(found) == 500 and len(set(found.conditioned.tolist())) == 1


def test_a_killed_run_goes_on_with_the_same_bytes(attention, tmp_path):
    rng = np.random.default_rng(2)
    exchanges = make_exchanges(
        [draw(rng, 8) for _ in range(900)], [f"{draw(rng, 9)} red {n}" for n in range(900)], "plain"
    )
    lm = open_causal_lm(attention)
    journal = tmp_path / "losses.jsonl"
    whole = measure_exchanges(exchanges, lm)
    blocks = -(-len(set(exchanges)) // BLOCK_ROWS)
    assert blocks > 2

    class KilledError(Exception):
        pass

    begun = []
    measure = lm.measure_block

    def killed(exchanges, begin, progress):
        begun.append(begin)
        if len(begun) == 3:
            raise KilledError
        return measure(exchanges, begin, progress)

    lm.measure_block = killed
    with pytest.raises(KilledError):
        measure_exchanges(exchanges, lm, journal=journal)
    # The last line was cut in the middle.
    journal.write_bytes(journal.read_bytes()[:-40])
    begun[:] = [None] * 3
    seen = []
    resumed = measure_exchanges(
        exchanges, lm, journal=journal, progress=lambda done, total: seen.append(done)
    )
    assert begun[3:] == list(range(BLOCK_ROWS, len(set(exchanges)), BLOCK_ROWS))
    assert same(whole, resumed)
    assert seen[0] == BLOCK_ROWS and seen[-1] == len(set(exchanges))
    # Once more, and nothing is left to do.
    begun[:] = []
    assert same(whole, measure_exchanges(exchanges, lm, journal=journal))
    assert begun == []


def test_a_journal_belongs_to_one_process_and_one_model(bigram, attention, tmp_path):
    journal = tmp_path / "losses.jsonl"
    one = measure_losses(["why"], ["red blue"], bigram, journal=journal)
    other = measure_losses(["why"], ["red blue"], attention, journal=journal)
    assert one.conditioned[0] != other.conditioned[0]
    assert len(journal.read_text().splitlines()) == 2
    with run_lock(journal), pytest.raises(RunError, match="is in use by process"):
        measure_losses(["why"], ["red blue"], bigram, journal=journal)


def test_the_key_tells_the_model_and_the_length(bigram, attention, tmp_path):
    keys = {
        open_causal_lm(bigram).key,
        open_causal_lm(attention).key,
        open_causal_lm(bigram, max_tokens=16).key,
    }
    assert len(keys) == 3
    copy = tmp_path / "copy"
    shutil.copytree(bigram, copy)
    assert open_causal_lm(copy, threads=3).key == open_causal_lm(bigram, threads=1).key
    assert open_causal_lm(copy / "onnx" / "model.onnx").key == open_causal_lm(bigram).key
    assert sha256_file(copy / "tokenizer.json") == sha256_file(bigram / "tokenizer.json")


def test_mean_loss_equals_its_definition():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 5, (150, 1000)).astype(np.float32)
    targets = rng.integers(0, 1000, 150)
    ids = [0, *targets.tolist()]
    assert mean_loss(logits, targets) == pytest.approx(losses_of(logits, ids, 1).mean(), rel=1e-6)
    shifted = mean_loss(logits + np.float32(1000), targets)
    assert shifted == pytest.approx(mean_loss(logits, targets), abs=1e-4)
    half = mean_loss(logits.astype(np.float16), targets)
    assert half == pytest.approx(mean_loss(logits, targets), rel=1e-3)


def test_nothing_to_measure(bigram):
    found = measure_losses([], [], bigram)
    assert len(found) == 0 and found.conditioned.dtype == np.float64


# -- what cannot be


def test_misuse_is_refused(bigram):
    with pytest.raises(ValueError, match="1 prompts for 2 responses"):
        measure_losses(["a"], ["b", "c"], bigram)
    with pytest.raises(TypeError, match="row 1 holds a NoneType"):
        measure_losses(["a", "b"], ["b", None], bigram)
    with pytest.raises(ValueError, match="template must be one of plain, response, got alpaca"):
        measure_losses(["a"], ["b"], bigram, template="alpaca")
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        open_causal_lm(bigram, threads=0)
    with pytest.raises(ValueError, match="max_tokens must be at least 2, got 1"):
        open_causal_lm(bigram, max_tokens=1)
    with pytest.raises(ValueError, match="are those of the opened model"):
        measure_losses(["a"], ["b"], open_causal_lm(bigram), max_tokens=4)


def test_a_length_the_model_does_not_take(bigram):
    with pytest.raises(ModelError, match="33 tokens is more than the 32 that bigram takes"):
        open_causal_lm(bigram, max_tokens=33)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "onnx/model.onnx"])
def test_a_missing_file_is_named(bigram, tmp_path, missing):
    folder = tmp_path / "lm"
    shutil.copytree(bigram, folder)
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=missing.replace("onnx/", "")) as caught:
        open_causal_lm(folder)
    assert caught.value.hint


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(ModelError, match="there is no language model"):
        open_causal_lm(tmp_path / "nowhere")


def test_the_only_other_network_is_taken_and_several_are_named(bigram, tmp_path):
    folder = tmp_path / "lm"
    shutil.copytree(bigram, folder)
    (folder / "onnx" / "model.onnx").rename(folder / "onnx" / "model_fp16.onnx")
    assert open_causal_lm(folder).name == "lm"
    shutil.copy(folder / "onnx" / "model_fp16.onnx", folder / "onnx" / "model_q4.onnx")
    with pytest.raises(ModelError, match=r"several networks.*model_fp16.onnx, onnx/model_q4.onnx"):
        open_causal_lm(folder)
    assert open_causal_lm(folder / "onnx" / "model_q4.onnx").name == "lm/model_q4.onnx"


def test_damaged_files(bigram, tmp_path):
    folder = tmp_path / "lm"
    shutil.copytree(bigram, folder)
    (folder / "onnx" / "model.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="onnxruntime cannot load"):
        open_causal_lm(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="is not a tokenizer"):
        open_causal_lm(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="must hold a JSON object"):
        open_causal_lm(folder)


def test_a_network_that_looks_ahead_is_refused(tmp_path):
    folder = make_folder(tmp_path / "lm", "everywhere")
    with pytest.raises(ModelError, match="a token changes the logits of those before it"):
        open_causal_lm(folder)


def test_an_embedding_model_is_refused(tmp_path):
    import onnx

    from ds2_fast.embedding.bert import read_bert
    from ds2_fast.embedding.bert_graph import build_bert_graph

    folder = make_model(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    graph = build_bert_graph(read_bert(config, folder / "model.safetensors", "bert"))
    onnx.save(graph, folder / "model.onnx")
    with pytest.raises(ModelError, match="is not a causal language model") as caught:
        open_causal_lm(folder)
    assert "last_hidden_state" in caught.value.message


def test_a_tokenizer_of_another_model_is_refused(bigram, tmp_path):
    folder = make_folder(tmp_path / "lm", logits=bigram_logits()[:, :8])
    with pytest.raises(ModelError, match="knows 8 tokens, its tokenizer 12"):
        open_causal_lm(folder)


def test_a_past_of_unknown_shape_is_refused(attention, tmp_path):
    folder = make_folder(tmp_path / "lm", "attention", config={"model_type": "x"})
    with pytest.raises(ModelError, match="does not say how many heads"):
        open_causal_lm(folder)


def test_logits_that_are_not_finite_name_the_sample(tmp_path):
    table = bigram_logits()
    table[IDS["dog"]] = np.nan
    folder = make_folder(tmp_path / "lm", logits=table)
    with pytest.raises(ModelError, match="not finite for sample 1"):
        measure_losses(["why", "why"], ["red blue", "dog red"], folder)
