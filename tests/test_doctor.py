"""The doctor finds a sound machine sound, and says what is wrong with one that is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ds2_fast import doctor
from ds2_fast.cli import main
from ds2_fast.doctor import machine, selftests
from ds2_fast.knn import Neighbors, find_neighbors
from tiny_bert import make_model

NAMES = [
    "package", "libraries", "processor", "threads", "memory", "disk, runs", "disk, models",
    "disk, scratch", "model", "keys", "recall", "speed",
]  # fmt: skip


@pytest.fixture
def quiet(tmp_path, monkeypatch):
    """A cache without models, and an environment without keys."""
    monkeypatch.setenv("DS2_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("DS2_FAST_KERNEL", raising=False)
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    return tmp_path


def test_a_sound_machine_is_found_sound_and_left_as_it_is(quiet):
    said = []
    findings = doctor.examine(folder=quiet, say=said.append)
    assert findings == said
    assert [finding.name for finding in findings] == NAMES
    assert not [finding for finding in findings if finding.state == "wrong"]
    lacking = {finding.name: finding for finding in findings if finding.mend}
    assert {"model", "keys"} <= lacking.keys()
    assert "ds2-fast model fetch all-MiniLM-L6-v2" in lacking["model"].mend
    assert list(quiet.iterdir()) == []


def test_a_model_at_hand_is_tried(quiet):
    folder = make_model(quiet / "tiny")
    found = selftests.model(str(folder))
    assert found.state == "note"
    assert f"ds2-fast model import {folder}" in found.mend
    assert not (quiet / "cache").exists()
    assert main(["model", "import", str(folder)]) == 0
    found = selftests.model("tiny")
    assert found.state == "ok"
    assert found.found.startswith("tiny, 64 dimensions: a text has the same vector alone")


def test_a_damaged_model_is_told(quiet):
    folder = make_model(quiet / "tiny")
    assert main(["model", "import", str(folder)]) == 0
    (network,) = (quiet / "cache").rglob("*.onnx")
    data = bytearray(network.read_bytes())
    data[-9] ^= 1
    network.write_bytes(data)
    found = selftests.model("tiny")
    assert found.state == "wrong"
    assert "is damaged" in found.found
    assert "ds2-fast model remove tiny" in found.mend


def test_keys_are_named_and_never_shown(quiet, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("EMPTY_API_KEY", "")
    for arguments in (["doctor"], ["doctor", "--json"]):
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert "OPENAI_API_KEY" in out
        assert "EMPTY_API_KEY" not in out
        assert "secret" not in out + err


def test_json_holds_every_finding(quiet, capsys):
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert [finding["name"] for finding in findings] == NAMES
    assert {tuple(finding) for finding in findings} == {("name", "state", "found", "mend")}


def test_no_kernel_of_that_name_is_wrong_and_exits_with_7(quiet):
    done = subprocess.run(
        [sys.executable, "-m", "ds2_fast", "doctor"],
        env={**os.environ, "DS2_FAST_KERNEL": "mmx"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert "`mmx`" in line
    assert "unset DS2_FAST_KERNEL" in line


@pytest.mark.parametrize(
    ("asked", "state"),
    [(None, "ok"), ("1", "ok"), ("99999", "note"), ("0", "wrong"), ("two", "wrong")],
)
def test_threads_that_are_asked_for_are_judged(asked, state):
    found = machine.threads({} if asked is None else {"RAYON_NUM_THREADS": asked})
    assert found.state == state
    assert bool(found.mend) is (state != "ok")


def test_little_memory_is_told(tmp_path):
    (tmp_path / "proc").mkdir()
    for kilobytes, state in ((500_000, "note"), (5_000_000, "ok")):
        text = f"MemAvailable: {kilobytes} kB\nSwapFree: 0 kB\n"
        (tmp_path / "proc" / "meminfo").write_text(text)
        assert machine.memory(tmp_path).state == state


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_wrong(tmp_path):
    tmp_path.chmod(0o500)
    assert machine.disk(tmp_path / "new", "runs").state == "wrong"
    tmp_path.chmod(0o700)


def test_a_run_directory_below_a_file_is_wrong(tmp_path):
    (tmp_path / "file").write_text("")
    found = machine.disk(tmp_path / "file" / "run", "runs")
    assert found.state == "wrong"
    assert "--run-dir" in found.mend


def test_processor_flags_are_read(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text("processor : 0\nflags : sse avx2 fma\n\nflags : x\n")
    assert machine.processor_flags(tmp_path) == {"sse", "avx2", "fma"}
    assert machine.processor_flags(tmp_path / "nowhere") == set()


def test_wrong_neighbors_are_found_out():
    rows = selftests.made_rows(300, 16)
    true = rows.astype(float) @ rows.T.astype(float)
    np.fill_diagonal(true, -np.inf)
    best = -np.sort(-true, axis=1)[:, :5]
    graph = find_neighbors(rows, 5)
    assert selftests.judge_recall(graph, graph, true, best).state == "ok"
    indices = graph.indices.copy()
    indices[7, 4] = np.argmin(np.where(np.isfinite(true[7]), true[7], 1))
    wrong = Neighbors(indices, graph.similarities)
    found = selftests.judge_recall(wrong, graph, true, best)
    assert found.state == "wrong"
    assert found.found == "exact neighbors are wrong in 1 of 300 rows"
    poor = Neighbors(graph.indices, graph.similarities - np.float32(0.2))
    assert "approx" in selftests.judge_recall(graph, poor, true, best).found
    assert selftests.judge_recall(graph, poor, true, best).state == "wrong"
