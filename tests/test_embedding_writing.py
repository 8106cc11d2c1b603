"""Embeddings into a file: the same bytes after any interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ds2_fast.embedding import load_embedder, write_embeddings
from ds2_fast.embedding.writing import digest_texts
from tiny_bert import make_model

BLOCK = 16
TEXTS = [f"{'the cat and the dog ' * (row % 7)} {row}" for row in range(100)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("writing") / "m")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def embedder(folder, cache):
    return load_embedder(folder, cache_dir=cache)


def write(embedder, path, texts=TEXTS, **options):
    return write_embeddings(embedder, texts, path, block_rows=BLOCK, **options)


def stop_after(rows):
    def progress(done, total):
        if done >= rows:
            raise KeyboardInterrupt

    return progress


def collect(seen):
    def progress(done, total):
        seen.append((done, total))

    return progress


@pytest.fixture(scope="session")
def undisturbed(embedder, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "e.npy"
    write(embedder, path)
    return path.read_bytes()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_file_holds_the_rows(embedder, tmp_path, dtype):
    got = write(embedder, tmp_path / "e.npy", dtype=dtype)
    want = np.concatenate(list(embedder.embed_blocks(TEXTS, block_rows=BLOCK)))
    assert got.dtype == np.dtype(dtype)
    assert isinstance(got, np.memmap)
    assert not got.flags.writeable
    np.testing.assert_array_equal(got, want.astype(dtype))
    np.testing.assert_array_equal(np.load(tmp_path / "e.npy"), got)
    assert [path.name for path in tmp_path.iterdir()] == ["e.npy"]


def test_no_texts_give_an_empty_array(embedder, tmp_path):
    got = write(embedder, tmp_path / "e.npy", texts=[])
    assert got.shape == (0, 64)
    assert np.load(tmp_path / "e.npy").shape == (0, 64)


def test_a_last_block_of_any_size(embedder, tmp_path):
    for count in (1, BLOCK - 1, BLOCK, BLOCK + 1):
        assert write(embedder, tmp_path / "e.npy", texts=TEXTS[:count]).shape == (count, 64)


@pytest.mark.parametrize("rows", [1, 16, 40, 99, 100])
def test_an_interrupted_run_goes_on_to_the_same_bytes(embedder, tmp_path, undisturbed, rows):
    path = tmp_path / "e.npy"
    with pytest.raises(KeyboardInterrupt):
        write(embedder, path, progress=stop_after(rows))
    assert not path.exists()
    seen = []
    write(embedder, path, progress=collect(seen))
    whole_blocks = (rows - 1) // BLOCK * BLOCK
    assert seen[0] == (whole_blocks, 100)
    assert seen[-1] == (100, 100)
    assert path.read_bytes() == undisturbed


def damage_nothing(part, note):
    pass


def damage_last_block(part, note):
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)


def damage_first_block(part, note):
    data = bytearray(part.read_bytes())
    data[200] ^= 1
    part.write_bytes(data)


def cut_part(part, note):
    part.write_bytes(part.read_bytes()[:-100])


def grow_part(part, note):
    part.write_bytes(part.read_bytes() + b"half a block")


def lose_part(part, note):
    part.unlink()


def lose_note(part, note):
    note.unlink()


def damage_note(part, note):
    note.write_text("{")


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (damage_nothing, 48),
        (grow_part, 48),
        (damage_last_block, 32),
        (cut_part, 32),
        (damage_first_block, 0),
        (lose_part, 0),
        (lose_note, 0),
        (damage_note, 0),
    ],
)
def test_only_whole_blocks_are_trusted(embedder, tmp_path, undisturbed, damage, kept):
    path = tmp_path / "e.npy"
    with pytest.raises(KeyboardInterrupt):
        write(embedder, path, progress=stop_after(60))
    damage(tmp_path / "e.npy.part", tmp_path / "e.npy.part.json")
    seen = []
    write(embedder, path, progress=collect(seen))
    assert seen[0] == (kept, 100)
    assert path.read_bytes() == undisturbed


def test_a_part_of_something_else_is_begun_anew(embedder, folder, cache, tmp_path):
    changes = [
        (load_embedder(folder, prompt="the ", cache_dir=cache), TEXTS, {}),
        (embedder, [*TEXTS[:-1], "another"], {}),
        (embedder, TEXTS[:-1], {}),
        (embedder, TEXTS, {"dtype": "float32"}),
    ]
    for index, (other, texts, options) in enumerate(changes):
        path = tmp_path / f"{index}.npy"
        with pytest.raises(KeyboardInterrupt):
            write(embedder, path, progress=stop_after(60))
        note = json.loads((tmp_path / f"{index}.npy.part.json").read_text())
        assert len(note["blocks"]) == 3
        seen = []
        got = write(other, path, texts=texts, progress=collect(seen), **options)
        assert seen[0] == (0, len(texts))
        want = other.embed_blocks(texts, block_rows=BLOCK)
        np.testing.assert_array_equal(got, np.concatenate(list(want)).astype(got.dtype))


def test_a_finished_file_is_replaced_in_one_step(embedder, tmp_path):
    path = tmp_path / "e.npy"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write(embedder, path, progress=stop_after(60))
    assert path.read_text() == "old"
    write(embedder, path)
    assert np.load(path).shape == (100, 64)


def test_the_borders_between_texts_count():
    assert digest_texts(["ab", "c"]) != digest_texts(["a", "bc"]) != digest_texts(["abc"])
    assert digest_texts(["\ud83d"]) != digest_texts(["\ufffd"])


def test_other_types_are_refused(embedder, tmp_path):
    with pytest.raises(ValueError, match="dtype must be float16 or float32, got int8"):
        write(embedder, tmp_path / "e.npy", dtype="int8")


KILLED = """
import json, sys
from ds2_fast.embedding import load_embedder, write_embeddings
folder, cache, texts, path = sys.argv[1:]
def told(done, total):
    print(done, flush=True)
write_embeddings(load_embedder(folder, cache_dir=cache, threads=3), json.load(open(texts)), path,
                 block_rows=16, progress=told)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("kill_at", [1, 50, 700])
def test_a_killed_process_is_taken_up_to_the_same_bytes(embedder, folder, cache, tmp_path, kill_at):
    texts = [f"{text} {number}" for number in range(15) for text in TEXTS]
    source, path = tmp_path / "texts.json", tmp_path / "e.npy"
    source.write_text(json.dumps(texts))
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, (folder, cache, source, path))],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, process.stdout:
        for line in process.stdout:
            if int(line) >= kill_at:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert not path.exists()
    note = tmp_path / "e.npy.part.json"
    blocks = len(json.loads(note.read_text())["blocks"]) if note.exists() else 0
    assert blocks * BLOCK < len(texts)
    assert blocks * BLOCK >= (kill_at - 1) // BLOCK * BLOCK
    started = time.monotonic()
    seen = []
    write(embedder, path, texts=texts, progress=collect(seen))
    assert seen[0] == (blocks * BLOCK, len(texts))
    assert time.monotonic() - started < 60
    write(embedder, tmp_path / "whole.npy", texts=texts)
    assert path.read_bytes() == (tmp_path / "whole.npy").read_bytes()
