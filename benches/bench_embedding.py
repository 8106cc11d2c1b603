"""Texts and tokens per second of the embedding stage, against onnxruntime as it is mostly used.

All variants run the same graph over the same texts in one run, in turns, tokenization included,
so the ratios hold on a machine that does other work too. The naive variants take the texts in the
order given, pad each batch to its longest text and leave the threads to onnxruntime.

    python benches/bench_embedding.py --model MODEL_FOLDER --pool POOL.parquet
    python benches/bench_embedding.py --fast      (made texts, made network; checks the bench)
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ds2_fast.embedding.folder import ModelFolder, read_model_folder
from ds2_fast.embedding.importing import export_bert
from ds2_fast.embedding.onnx_engine import OnnxEngine, plan_batches
from ds2_fast.embedding.opening import count_threads
from ds2_fast.embedding.pooling import pool, unit_rows
from ds2_fast.embedding.tokens import TextTokenizer
from ds2_fast.progress import silent

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = (512, 768, 1024, 4096)
NAIVE_BATCHES = (32, 256)
BLOCK_ROWS = 2048

Variant = Callable[[list[str]], NDArray[np.float32]]


def naive(onnx: Path, folder: ModelFolder, batch: int) -> Variant:
    """Return the naive use of onnxruntime: given order, padded batches, default session."""
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder.path / "tokenizer.json"))
    tokenizer.enable_truncation(folder.max_length)
    tokenizer.enable_padding()

    def embed(texts: list[str]) -> NDArray[np.float32]:
        rows = []
        for begin in range(0, len(texts), batch):
            encodings = tokenizer.encode_batch(texts[begin : begin + batch])
            ids = np.array([encoding.ids for encoding in encodings], np.int64)
            mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
            (hidden,) = session.run(
                ["last_hidden_state"], {"input_ids": ids, "attention_mask": mask}
            )
            rows.append(pool(hidden, mask.sum(axis=1), folder.pooling))
        return unit_rows(np.concatenate(rows))

    return embed


def ours(onnx: Path, folder: ModelFolder, budget: int) -> Variant:
    """Return the stage itself with a token budget."""
    tokenizer = TextTokenizer(folder.path / "tokenizer.json", max_length=folder.max_length)
    engine = OnnxEngine(
        onnx,
        pooling=folder.pooling,
        pad_id=folder.pad_id,
        threads=count_threads(),
        budget=budget,
    )

    def embed(texts: list[str]) -> NDArray[np.float32]:
        blocks = [texts[begin : begin + BLOCK_ROWS] for begin in range(0, len(texts), BLOCK_ROWS)]
        rows = [engine.rows(tokenizer.encode(block), silent) for block in blocks]
        return unit_rows(np.concatenate(rows))

    return embed


def read_texts(pool_file: Path, count: int) -> list[str]:
    """Draw texts from an Alpaca-like pool: instruction, input and output, one below the other."""
    import polars as pl

    columns = ["instruction", "input", "output"]
    frame = pl.read_parquet(pool_file, columns=columns).sample(count, seed=42)
    return ["\n".join(part for part in row if part) for row in frame.rows()]


def made_model(folder: Path) -> Path:
    """Make a small network with random weights."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tiny_bert import make_model

    return make_model(folder / "tiny")


def measure(
    variants: dict[str, Variant], texts: list[str], repeats: int
) -> tuple[dict[str, float], dict[str, NDArray[np.float32]]]:
    """Run all variants in turns; return the best seconds and the rows of each."""
    seconds = dict.fromkeys(variants, float("inf"))
    rows = {}
    for embed in variants.values():
        embed(texts[:16])  # the first call of a session allocates
    for _ in range(repeats):
        for name, embed in variants.items():
            started = time.perf_counter()
            rows[name] = embed(texts)
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return seconds, rows


def run(model: Path, texts: list[str], repeats: int) -> dict[str, object]:
    """Measure everything and return a report."""
    folder = read_model_folder(model)
    with tempfile.TemporaryDirectory() as scratch:
        onnx = Path(scratch) / "model.onnx"
        export_bert(model, onnx, model.name)
        variants = {f"naive, batch {size}": naive(onnx, folder, size) for size in NAIVE_BATCHES}
        variants |= {f"ours, budget {budget}": ours(onnx, folder, budget) for budget in BUDGETS}
        seconds, rows = measure(variants, texts, repeats)
    tokenizer = TextTokenizer(model / "tokenizer.json", max_length=folder.max_length)
    lengths = np.array([len(ids) for ids in tokenizer.encode(texts)])
    padded = sum(len(b) * int(lengths[b[0]]) for b in plan_batches(lengths, 768))
    reference = seconds[f"naive, batch {NAIVE_BATCHES[0]}"]
    return {
        "texts": len(texts),
        "tokens": int(lengths.sum()),
        "padding": round(padded / int(lengths.sum()), 4),
        "threads": count_threads(),
        "machine": f"{platform.system()} {platform.machine()} {platform.processor()}".strip(),
        "onnxruntime": onnxruntime.__version__,
        "variants": {
            name: {
                "seconds": round(taken, 3),
                "texts_per_second": round(len(texts) / taken, 1),
                "tokens_per_second": round(int(lengths.sum()) / taken),
                "times_naive": round(reference / taken, 2),
                "min_cosine": float(
                    np.einsum("nd,nd->n", rows[name], next(iter(rows.values()))).min().round(6)
                ),
            }
            for name, taken in seconds.items()
        },
    }


def main(arguments: list[str] | None = None) -> None:
    """Parse the options, measure, print a table; with `--json` write the report too."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / ".models" / "all-MiniLM-L6-v2")
    parser.add_argument(
        "--pool",
        type=Path,
        default=ROOT.parent / "shared" / "data" / "alpaca52k_rated.parquet",
        help="a parquet with the columns instruction, input, output",
    )
    parser.add_argument("--texts", type=int, default=800)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--fast", action="store_true", help="made texts, made network, one repeat")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args(arguments)
    if options.fast:
        with tempfile.TemporaryDirectory() as scratch:
            texts = ["the cat and the dog " * (row % 9) for row in range(60)]
            report = run(made_model(Path(scratch)), texts, repeats=1)
    else:
        report = run(options.model, read_texts(options.pool, options.texts), options.repeats)
    print({key: value for key, value in report.items() if key != "variants"})
    for name, figures in report["variants"].items():
        print(f"{name:<20}", *(f"{key} {value:<10}" for key, value in figures.items()))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
