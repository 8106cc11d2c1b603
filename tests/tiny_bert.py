"""Makes model folders for tests: a BERT with random weights and a small WordPiece tokenizer."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

WORDS = [
    "the",
    "a",
    "an",
    "of",
    "to",
    "and",
    "in",
    "is",
    "was",
    "sky",
    "blue",
    "why",
    "cat",
    "dog",
    "river",
    "city",
    "write",
    "explain",
    "sum",
    "add",
    "def",
    "return",
    "count",
    "report",
    "sales",
    "year",
    "one",
    "two",
    "three",
    "red",
    "green",
    "light",
    "over",
    "under",
    "about",
    "committee",
    "reviewed",
]
PIECES = [chr(letter) for letter in range(ord("a"), ord("z") + 1)] + list("0123456789.,?!:()+-\n")
VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *WORDS,
    *PIECES,
    *(f"##{piece}" for piece in PIECES),
]


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], dtype: str = "F32") -> None:
    """Write tensors in the safetensors format, in the type asked for."""
    header, blobs, offset = {}, [], 0
    for name, tensor in tensors.items():
        blob = encode(tensor, dtype)
        header[name] = {
            "dtype": dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    head = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(blobs))


def encode(tensor: np.ndarray, dtype: str) -> bytes:
    """Encode a tensor; BF16 by cutting a float32 after its upper half."""
    if dtype == "BF16":
        return (np.ascontiguousarray(tensor, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return tensor.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}[dtype]).tobytes()


def bert_tensors(
    *, hidden: int, layers: int, feed_forward: int, positions: int, seed: int
) -> dict[str, np.ndarray]:
    """Draw the weights of a BERT: large enough that attention and GELU matter."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int, scale: float = 0.15) -> np.ndarray:
        return rng.normal(0, scale, shape).astype(np.float32)

    tensors = {
        "embeddings.word_embeddings.weight": draw(len(VOCABULARY), hidden, scale=1),
        "embeddings.position_embeddings.weight": draw(positions, hidden, scale=0.5),
        "embeddings.token_type_embeddings.weight": draw(2, hidden, scale=0.5),
        "embeddings.LayerNorm.weight": 1 + draw(hidden),
        "embeddings.LayerNorm.bias": draw(hidden),
        "pooler.dense.weight": draw(hidden, hidden),
        "pooler.dense.bias": draw(hidden),
    }
    for index in range(layers):
        prefix = f"encoder.layer.{index}."
        for name, rows, columns in (
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", feed_forward, hidden),
            ("output.dense", hidden, feed_forward),
        ):
            tensors[f"{prefix}{name}.weight"] = draw(rows, columns)
            tensors[f"{prefix}{name}.bias"] = draw(rows)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors[f"{prefix}{name}.weight"] = 1 + draw(hidden)
            tensors[f"{prefix}{name}.bias"] = draw(hidden)
    return tensors


def write_tokenizer(path: Path) -> None:
    """Write a tokenizer.json with the padding and truncation that published models leave in it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(
        models.WordPiece({word: index for index, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8, pad_id=0, pad_token="[PAD]")
    tokenizer.save(str(path))


def make_model(
    folder: Path,
    *,
    hidden: int = 64,
    heads: int = 2,
    layers: int = 2,
    feed_forward: int = 96,
    positions: int = 48,
    max_length: int | None = 32,
    pooling: tuple[str, ...] | None = ("mean",),
    activation: str = "gelu",
    dtype: str = "F32",
    prefix: str = "",
    seed: int = 7,
) -> Path:
    """Write a model folder in the layout of sentence-transformers."""
    folder.mkdir(parents=True)
    config = {
        "model_type": "bert",
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": feed_forward,
        "vocab_size": len(VOCABULARY),
        "max_position_embeddings": positions,
        "layer_norm_eps": 1e-12,
        "hidden_act": activation,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
    }
    write_json(folder / "config.json", config)
    write_tokenizer(folder / "tokenizer.json")
    tensors = bert_tensors(
        hidden=hidden, layers=layers, feed_forward=feed_forward, positions=positions, seed=seed
    )
    write_safetensors(
        folder / "model.safetensors",
        {prefix + name: tensor for name, tensor in tensors.items()},
        dtype,
    )
    if max_length is not None:
        write_json(
            folder / "sentence_bert_config.json",
            {"max_seq_length": max_length, "do_lower_case": False},
        )
    if pooling is not None:
        add_modules(folder, pooling)
    return folder


def add_modules(folder: Path, pooling: tuple[str, ...], *more: str) -> None:
    """Write modules.json: the network, its pooling, `more` modules, normalization."""
    names = ["Transformer", "Pooling", *more, "Normalize"]
    write_json(
        folder / "modules.json",
        [
            {
                "idx": index,
                "name": str(index),
                "path": "" if index == 0 else f"{index}_{name}",
                "type": f"sentence_transformers.models.{name}",
            }
            for index, name in enumerate(names)
        ],
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    keys = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens"}
    modes = {
        f"pooling_mode_{keys.get(mode, mode + '_tokens')}": mode in pooling
        for mode in ("cls", "max", "mean", "mean_sqrt_len", "weightedmean", "lasttoken")
    }
    write_json(folder / "1_Pooling" / "config.json", modes)


def add_dense(folder: Path, rows: int, columns: int, activation: str, seed: int = 3) -> None:
    """Write a Dense module at place 2 of a folder made with `add_modules(..., "Dense")`."""
    rng = np.random.default_rng(seed)
    (folder / "2_Dense").mkdir()
    write_json(
        folder / "2_Dense" / "config.json",
        {
            "in_features": rows,
            "out_features": columns,
            "bias": True,
            "activation_function": f"torch.nn.modules.activation.{activation}",
        },
    )
    write_safetensors(
        folder / "2_Dense" / "model.safetensors",
        {
            "linear.weight": rng.normal(0, 0.5, (columns, rows)).astype(np.float32),
            "linear.bias": rng.normal(0, 0.5, columns).astype(np.float32),
        },
    )


def write_json(path: Path, value: object) -> None:
    """Write JSON."""
    path.write_text(json.dumps(value))
