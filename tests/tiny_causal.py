"""Makes folders of causal language models for tests: bigrams by a table, one layer of attention.

Words are characters or short words of a word-level tokenizer, so that every loss can be worked by
hand from the table of logits.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

WORDS = ["[UNK]", "<s>", "the", "sky", "is", "blue", "why", "cat", "dog", "red", ".", "?"]
IDS = {word: index for index, word in enumerate(WORDS)}
HEADS, SIZE, TOKENS = 2, 4, 32


def bigram_logits(seed: int = 5) -> np.ndarray:
    """float32 (V, V): row = token before, column = token that follows."""
    return np.random.default_rng(seed).normal(0, 2, (len(WORDS), len(WORDS))).astype(np.float32)


def write_tokenizer(path: Path, *, head: bool = False) -> None:
    """Write a tokenizer of words parted by white space; with `head`, `<s>` begins a text.

    It has the truncation and padding that published models leave in theirs.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(IDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if head:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", IDS["<s>"])]
        )
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=3)
    tokenizer.save(str(path))


def make_folder(
    folder: Path,
    graph: str = "bigram",
    *,
    head: bool = False,
    config: dict[str, object] | None = None,
    onnx_file: str = "onnx/model.onnx",
    logits: np.ndarray | None = None,
) -> Path:
    """Write a model folder.

    The graph is `bigram`, `quantized` (the same, rounded by the largest of a batch), `attention`
    (with a past), or `everywhere` (not causal).
    """
    import onnx

    file = folder / onnx_file
    file.parent.mkdir(parents=True)
    if graph in ("bigram", "quantized"):
        table = bigram_logits() if logits is None else logits
        model = bigram_model(table, quantized=graph == "quantized")
    else:
        model = attention_model(causal=graph == "attention")
    onnx.save(model, file)
    settings = {"model_type": "gpt2", "n_positions": TOKENS, "num_attention_heads": HEADS,
                "num_key_value_heads": HEADS, "hidden_size": HEADS * SIZE}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings if config is None else config))
    write_tokenizer(folder / "tokenizer.json", head=head)
    return folder


def bigram_model(table: np.ndarray, *, quantized: bool = False):
    """`logits[b, t] = table[input_ids[b, t]]`, as 256 steps of the batch's range if `quantized`."""
    from onnx import TensorProto, helper, numpy_helper

    axes = ["batch", "tokens"]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["exact"])]
    if quantized:
        steps = ["steps", "scale", "zero"]
        nodes.append(helper.make_node("DynamicQuantizeLinear", ["exact"], steps))
        nodes.append(helper.make_node("DequantizeLinear", steps, ["logits"]))
    else:
        nodes.append(helper.make_node("Identity", ["exact"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "bigram",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, axes),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, axes),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*axes, len(table)])],
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def attention_weights(seed: int = 9) -> dict[str, np.ndarray]:
    """Embeddings of words and places, the four matrices of a layer, and the head."""
    rng = np.random.default_rng(seed)
    hidden = HEADS * SIZE
    shapes = {
        "words": (len(WORDS), hidden), "places": (TOKENS, hidden), "query": (hidden, hidden),
        "key": (hidden, hidden), "value": (hidden, hidden), "out": (hidden, len(WORDS)),
    }  # fmt: skip
    return {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def attention_model(*, causal: bool = True):
    """One layer of attention over a past and the tokens; each sees what is not after it.

    Inputs `input_ids`, `attention_mask` (past and tokens), `position_ids`, and
    `past_key_values.0.key` and `.value`, `(batch, heads, past, size)`; outputs `logits` and
    `present.0.*`. With `causal=False` every token sees all.
    """
    from onnx import TensorProto, helper, numpy_helper

    weights = {
        **attention_weights(),
        "split": np.array([0, 0, HEADS, SIZE], np.int64),
        "merged": np.array([0, 0, HEADS * SIZE], np.int64),
        "scale": np.array(SIZE**-0.5, np.float32),
        "one": np.array(1, np.float32),
        "far": np.array(-1e9, np.float32),
        "middle": np.array([1, 2], np.int64),
        "outer": np.array([1], np.int64),
        "last": np.array([3], np.int64),
    }
    nodes = []

    def node(operator: str, *inputs: str, **attributes: object) -> str:
        output = f"{operator.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def heads(name: str, x: str) -> str:
        split = node("Reshape", node("MatMul", x, name), "split")
        return node("Transpose", split, perm=[0, 2, 1, 3])

    x = node("Add", node("Gather", "words", "input_ids"), node("Gather", "places", "position_ids"))
    key = node("Concat", "past_key_values.0.key", heads("key", x), axis=2)
    value = node("Concat", "past_key_values.0.value", heads("value", x), axis=2)
    scores = node("MatMul", heads("query", x), node("Transpose", key, perm=[0, 1, 3, 2]))
    scores = node("Mul", scores, "scale")
    # Places of keys: as many as the mask has; a key is seen unless it is padding or comes later.
    mask = node("Unsqueeze", node("Cast", "attention_mask", to=1), "middle")
    hidden = node("Mul", node("Sub", "one", mask), "far")
    if causal:
        zero = helper.make_node("Constant", [], ["zero"], value_int=0)
        step = helper.make_node("Constant", [], ["step"], value_int=1)
        nodes.extend((zero, step))
        count = node("Squeeze", node("Shape", "attention_mask", start=1, end=2))
        keys = node("Range", "zero", count, "step")
        own = node("Unsqueeze", node("Unsqueeze", "position_ids", "outer"), "last")
        later = node("Cast", node("Greater", keys, own), to=1)
        hidden = node("Add", hidden, node("Mul", later, "far"))
    mixed = node("MatMul", node("Softmax", node("Add", scores, hidden), axis=-1), value)
    merged = node("Reshape", node("Transpose", mixed, perm=[0, 2, 1, 3]), "merged")
    logits = node("MatMul", node("Add", x, merged), "out")
    nodes.append(helper.make_node("Identity", [logits], ["logits"]))
    nodes.append(helper.make_node("Identity", [key], ["present.0.key"]))
    nodes.append(helper.make_node("Identity", [value], ["present.0.value"]))

    def tensor(name: str, kind: int, shape: list[object]):
        return helper.make_tensor_value_info(name, kind, shape)

    past = ["batch", HEADS, "past", SIZE]
    graph = helper.make_graph(
        nodes,
        "attention",
        [
            tensor("input_ids", TensorProto.INT64, ["batch", "tokens"]),
            tensor("attention_mask", TensorProto.INT64, ["batch", "all"]),
            tensor("position_ids", TensorProto.INT64, ["batch", "tokens"]),
            tensor("past_key_values.0.key", TensorProto.FLOAT, past),
            tensor(
                "past_key_values.0.value", TensorProto.FLOAT, ["batch", "heads", "past", "size"]
            ),
        ],
        [
            tensor("logits", TensorProto.FLOAT, ["batch", "tokens", len(WORDS)]),
            tensor("present.0.key", TensorProto.FLOAT, ["batch", HEADS, "all", SIZE]),
            tensor("present.0.value", TensorProto.FLOAT, ["batch", HEADS, "all", SIZE]),
        ],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def attention_forward(ids: list[int]) -> np.ndarray:
    """The same network in float64, one token after another: logits `(tokens, V)`."""
    w = {name: values.astype(np.float64) for name, values in attention_weights().items()}
    x = w["words"][ids] + w["places"][: len(ids)]
    q, k, v = x @ w["query"], x @ w["key"], x @ w["value"]
    out = []
    for t in range(len(ids)):
        mixed = []
        for head in range(HEADS):
            part = slice(head * SIZE, (head + 1) * SIZE)
            scores = k[: t + 1, part] @ q[t, part] / np.sqrt(SIZE)
            weights = np.exp(scores - scores.max())
            mixed.append(weights / weights.sum() @ v[: t + 1, part])
        out.append((x[t] + np.concatenate(mixed)) @ w["out"])
    return np.array(out)


def losses_of(logits: np.ndarray, ids: list[int], first: int) -> np.ndarray:
    """The slow twin: `-log softmax(logits[i - 1])[ids[i]]` for i from `first` on."""
    found = []
    for i in range(max(first, 1), len(ids)):
        row = np.asarray(logits[i - 1], np.float64)
        found.append(np.log(np.exp(row).sum()) - row[ids[i]])
    return np.array(found)
