"""Check a model before it is trusted: against itself, and against its own checkpoint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ds2_fast.embedding.bert import BertCheckpoint
from ds2_fast.embedding.bert_forward import bert_forward
from ds2_fast.embedding.encoder import Embedder
from ds2_fast.embedding.folder import read_model_folder
from ds2_fast.embedding.onnx_engine import has_dynamic_int8
from ds2_fast.embedding.opening import ModelFiles, open_embedder
from ds2_fast.embedding.pooling import pool, unit_rows
from ds2_fast.embedding.tokens import TextTokenizer
from ds2_fast.errors import ModelError

# Of different lengths, so that a graph that ignores its mask is found out.
_TEXTS = (
    "Why is the sky blue?",
    "def add(a, b):\n    return a + b",
    "",
    "Summarize the report in two sentences: sales rose in spring, fell in summer, and the year "
    "ended where it had begun, though with fewer shops and more customers in each.",
)
# Rounding moves the cosine of float32 networks by about 1e-7 (24 layers: 1e-6).
_MIN_COSINE = 1 - 1e-5


def check_model(files: ModelFiles, checkpoint: BertCheckpoint | None) -> Embedder:
    """Open a model, embed four texts and check the vectors.

    A text must get the same vector alone and beside longer texts (dynamic int8 graphs cannot, and
    are let through: only who names them gets here with one). With a checkpoint, the vectors must
    equal those of a numpy forward pass of the same weights.

    Returns:
        The opened model.

    Raises:
        ModelError: the model cannot be opened, or a check fails.
    """
    embedder = open_embedder(files, threads=1)
    together = embedder.embed(_TEXTS)
    if not has_dynamic_int8(files.onnx):
        alone = np.concatenate([embedder.embed([text]) for text in _TEXTS])
        _compare(together, alone, files, "depend on the texts embedded beside them")
    if checkpoint is not None:
        _compare(together, _expected(files, checkpoint), files, "differ from its checkpoint's")
    return embedder


def _expected(files: ModelFiles, checkpoint: BertCheckpoint) -> NDArray[np.float32]:
    """Return the unit rows of the texts by the numpy forward pass."""
    folder = read_model_folder(files.path)
    tokenizer = TextTokenizer(
        files.path / "tokenizer.json",
        max_length=folder.max_length,
        prompt=folder.prompt,
        lowercase=folder.lowercase,
    )
    rows = []
    for ids in tokenizer.encode(_TEXTS):
        hidden = bert_forward(checkpoint, ids)
        rows.append(pool(hidden[None], np.array([len(ids)]), folder.pooling)[0])
    result = np.stack(rows)
    for layer in folder.dense:
        result = layer(result)
    return unit_rows(result)


def _compare(
    got: NDArray[np.float32], expected: NDArray[np.float32], files: ModelFiles, how: str
) -> None:
    cosine = np.einsum("nd,nd->n", got, expected, dtype=np.float64)
    worst = int(np.argmin(cosine))
    if cosine[worst] < _MIN_COSINE:
        raise ModelError(
            f"the vectors of {files.name} {how}: cosine {cosine[worst]:.6f} for {_TEXTS[worst]!r}",
            hint="do not use this file; export the model anew",
        )
