"""Embeddings into a `.npy` file, resumable after any interruption."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ds2_fast.atomic import atomic_path
from ds2_fast.embedding.encoder import BLOCK_ROWS, Embedder
from ds2_fast.progress import Progress, silent

_DTYPES = ("float16", "float32")


def write_embeddings(
    embedder: Embedder,
    texts: Sequence[str],
    path: str | os.PathLike[str],
    *,
    dtype: str = "float16",
    block_rows: int = BLOCK_ROWS,
    progress: Progress = silent,
) -> NDArray[Any]:
    """Embed texts into a `.npy` file.

    Rows go to `path.part` block by block; after each block `path.part.json` takes note of it with
    a checksum. A run that was killed at any moment goes on after the last block that is whole, and
    the finished file has the same bytes as that of an undisturbed run. A part that belongs to other
    texts, another model or another `dtype` is begun anew. At the end the part takes the name `path`
    in one step. One process at a time may write to a path.

    Args:
        embedder: the model.
        texts: N texts.
        path: the file to write.
        dtype: `float16` (half the size; keeps 99.98 % of the 10 nearest neighbors) or `float32`.
        block_rows: rows between two notes.
        progress: called with `(done, total)` texts, first with those found done.

    Returns:
        The finished file, memory-mapped read-only: `dtype`, `(N, dim)`, rows of unit length.

    Raises:
        ModelError: the model gives a vector that is zero or not finite.
        OSError: the disk is full, or the folder cannot be written.
        ValueError: `dtype` is neither `float16` nor `float32`.
    """
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be float16 or float32, got {dtype}")
    target = Path(path)
    part = target.with_name(target.name + ".part")
    note = target.with_name(target.name + ".part.json")
    shape = (len(texts), embedder.dim)
    stored = np.dtype(dtype).newbyteorder("<")
    identity = {
        "format": 1,
        "model": embedder.key,
        "texts": digest_texts(texts),
        "shape": list(shape),
        "dtype": dtype,
        "block_rows": block_rows,
    }
    # Plain writes, not a memory map: there a full disk would be a crash, here it is an error.
    with part.open("r+b" if part.exists() else "w+b") as file:
        npy.write_array_header_1_0(
            file, {"descr": stored.str, "fortran_order": False, "shape": shape}
        )
        sums = _keep_whole_blocks(
            file, _read_note(note, identity), shape, block_rows, stored.itemsize
        )
        start = len(sums) * block_rows
        progress(min(start, len(texts)), len(texts))
        for rows in embedder.embed_blocks(
            texts, start=start, block_rows=block_rows, progress=progress
        ):
            data = rows.astype(stored).tobytes()
            file.write(data)
            _flush(file)
            sums.append(hashlib.sha256(data).hexdigest())
            with atomic_path(note) as temporary:
                temporary.write_text(json.dumps({**identity, "blocks": sums}), "utf-8")
        _flush(file)
    part.replace(target)
    note.unlink(missing_ok=True)
    return open_embeddings(target)


def open_embeddings(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Map a finished file into memory, read-only."""
    return np.asanyarray(np.load(path, mmap_mode="r"))


def digest_texts(texts: Sequence[str]) -> str:
    """Return sha256 in hex of a list of texts; the borders between texts count."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def _read_note(note: Path, identity: dict[str, Any]) -> list[str]:
    """Return the checksums of the blocks written, if they are blocks of the same embeddings."""
    try:
        found = json.loads(note.read_bytes())
        sums = found.pop("blocks")
    except (FileNotFoundError, ValueError, KeyError, AttributeError):
        return []
    return list(sums) if found == identity else []


def _keep_whole_blocks(
    file: BinaryIO, sums: list[str], shape: tuple[int, int], block_rows: int, itemsize: int
) -> list[str]:
    """Cut the part after its last block that is whole; return the checksums of what stays.

    The file stands at the end of the header, then at the end of that block.
    """
    whole = []
    end = file.tell()
    for index, known in enumerate(sums):
        rows = min(block_rows, shape[0] - index * block_rows)
        data = file.read(rows * shape[1] * itemsize)
        if hashlib.sha256(data).hexdigest() != known:
            break
        whole.append(known)
        end += len(data)
    file.seek(end)
    file.truncate()
    return whole


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
