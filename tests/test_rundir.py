"""The run directory: skipped stages, changed parameters, killed writers, one process at a time."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ds2_fast.errors import RunError
from ds2_fast.rundir import Artifact, RunDir, digest_json, open_run, read_manifest, write_json

TEXT: Artifact[str] = Artifact(
    ("text.txt",),
    lambda value, paths: paths[0].write_text(value) and None,
    lambda paths: paths[0].read_text(),
)
PAIR: Artifact[tuple[str, str]] = Artifact(
    ("first.txt", "second.txt"),
    lambda value, paths: (
        [file.write_text(text) for file, text in zip(paths, value, strict=True)] and None
    ),
    lambda paths: (paths[0].read_text(), paths[1].read_text()),
)


class Calls(list):
    def __call__(self, value):
        def compute():
            self.append(value)
            return value

        return compute


def stage(run: RunDir, compute, *, artifact=TEXT, name="words", **params):
    return run.stage(name, artifact, compute, inputs={"pool": "d1"}, params=params)


def test_a_stage_runs_once_and_again_only_when_its_key_changes(tmp_path):
    calls = Calls()
    for expected, params in [("a", {"k": 1}), ("a", {"k": 1}), ("b", {"k": 2})]:
        with open_run(tmp_path / "run", "1.0") as run:
            assert stage(run, calls(expected), **params).value == expected
    assert calls == ["a", "b"]
    with open_run(tmp_path / "run", "1.0") as run:
        run.stage("words", TEXT, calls("c"), inputs={"pool": "d2"}, params={"k": 2})
    assert calls == ["a", "b", "c"]


def test_a_missing_file_is_made_again(tmp_path):
    calls = Calls()
    with open_run(tmp_path, "1.0") as run:
        stage(run, calls("a"))
        (tmp_path / "text.txt").unlink()
        assert not stage(run, calls("a")).reused
    assert calls == ["a", "a"]


def test_a_stage_of_an_earlier_version_gets_the_digests_of_its_files(tmp_path):
    with open_run(tmp_path, "1.0") as run:
        stage(run, Calls()("a"))
        digests = run.manifest["stages"]["words"].pop("file_digests")
        assert stage(run, Calls()("a")).reused
        assert run.manifest["stages"]["words"]["file_digests"] == digests


@pytest.mark.parametrize("left", ["", "a", "other", "longer than it was"])
def test_a_damaged_file_is_made_again(tmp_path, left):
    calls = Calls()
    with open_run(tmp_path, "1.0") as run:
        assert not stage(run, calls("whole")).spoiled
        (tmp_path / "text.txt").write_text(left)
        mended = stage(run, calls("whole"))
        assert (mended.value, mended.reused, mended.spoiled) == ("whole", False, True)
        assert stage(run, calls("whole")).reused
    assert calls == ["whole", "whole"]


@pytest.mark.parametrize(
    "stages", [None, [], {"words": 3}, {"words": {"key": "k"}}, {"words": {"digest": "d"}}]
)
def test_a_manifest_without_keys_is_said_to_be_damaged(tmp_path, stages):
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": 1, "stages": stages}))
    with pytest.raises(RunError, match="is damaged: its stages have no keys") as caught:
        read_manifest(tmp_path)
    assert "remove the file" in caught.value.hint


def test_a_failed_stage_leaves_the_old_artifact_and_its_entry(tmp_path):
    def fail():
        raise KeyboardInterrupt

    with open_run(tmp_path, "1.0") as run:
        stage(run, lambda: "a", k=1)
        with pytest.raises(KeyboardInterrupt):
            stage(run, fail, k=2)
        assert stage(run, fail, k=1).value == "a"


def test_killed_between_two_moves_the_stage_is_made_anew(tmp_path, monkeypatch):
    with open_run(tmp_path, "1.0") as run:
        stage(run, lambda: ("a", "a"), artifact=PAIR, k=1)
    moves = []
    replace = Path.replace

    def killed(self, target):
        if self.name.endswith(".new"):
            moves.append(self.name)
            if len(moves) == 2:
                raise SystemExit
        return replace(self, target)

    with monkeypatch.context() as patch, open_run(tmp_path, "1.0") as run:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(SystemExit):
            stage(run, lambda: ("b", "b"), artifact=PAIR, k=2)
    # first.txt is the new one, second.txt the old one: neither key may find them.
    assert (tmp_path / "first.txt").read_text() == "b"
    assert (tmp_path / "second.txt").read_text() == "a"
    with open_run(tmp_path, "1.0") as run:
        done = stage(run, lambda: ("a", "a"), artifact=PAIR, k=1)
    assert done.value == ("a", "a")
    assert not done.reused


def test_what_a_killed_writer_left_is_swept(tmp_path):
    with open_run(tmp_path, "1.0") as run:
        stage(run, lambda: "a")
    left = [
        ".text.txt.new",
        ".neighbors.npy.new",
        ".0a1b2c3d.manifest.json",
        ".0a1b2c3d.report.json",
    ]
    for name in left:
        (tmp_path / name).write_text("half")
    (tmp_path / ".gitignore").write_text("*")
    with open_run(tmp_path, "1.0") as run:
        assert stage(run, lambda: "b").reused
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        ".gitignore",
        "lock",
        "manifest.json",
        "text.txt",
    ]


def test_a_full_disk_leaves_no_half_written_file(tmp_path):
    def full(value, paths):
        paths[0].write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(paths[0]))

    broken = Artifact(("text.txt",), full, TEXT.load)
    with open_run(tmp_path, "1.0") as run:
        stage(run, lambda: "a", k=1)
        with pytest.raises(RunError, match="no space left"):
            stage(run, lambda: "b", k=2, artifact=broken)
        assert stage(run, lambda: "c", k=1).value == "a"
    assert not [file.name for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_refused_process_leaves_the_folder_to_the_one_that_has_it(tmp_path, monkeypatch):
    """Both saw no folder; the other one was first to lock it."""
    with open_run(tmp_path / "run", "1.0") as run:
        exists = Path.exists
        with monkeypatch.context() as patch:
            patch.setattr(Path, "exists", lambda self: self.name != "run" and exists(self))
            with pytest.raises(RunError, match="in use"), open_run(tmp_path / "run", "1.0"):
                pass
        assert stage(run, lambda: "a").value == "a"


def test_what_is_not_a_number_never_gets_into_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"mean": float("nan")}, tmp_path / "report.json")
    assert not list(tmp_path.iterdir())


def test_json_holds_names_of_files_that_are_no_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.jsonl")
    write_json({"source": name}, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_bytes()) == {"source": name}
    assert digest_json({"source": name}) != digest_json({"source": "caf\ufffd.jsonl"})


def test_a_second_process_is_refused_and_told_who_has_it(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom ds2_fast.errors import RunError\n"
        "from ds2_fast.rundir import open_run\n"
        "try:\n  with open_run(Path(sys.argv[1]), '1.0'): print('taken')\n"
        "except RunError as error: print(error.message)"
    )
    with open_run(tmp_path, "1.0"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
        assert (
            done.stdout.strip()
            == f"`{tmp_path}` is in use by another ds2-fast run (process {os.getpid()})"
        )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "taken"


def test_the_manifest_says_what_made_each_artifact(tmp_path):
    with open_run(tmp_path, "1.0") as run:
        done = stage(run, lambda: "a", k=1)
    entry = read_manifest(tmp_path)["stages"]["words"]
    assert entry["key"] == digest_json(["words", 1, {"pool": "d1"}, {"k": 1}])
    assert (entry["digest"], entry["files"], entry["params"]) == (
        done.digest,
        ["text.txt"],
        {"k": 1},
    )


def test_a_folder_that_is_no_run_is_said(tmp_path):
    with pytest.raises(RunError, match="it has no manifest"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RunError, match="is not valid JSON"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(RunError, match="another version"):
        read_manifest(tmp_path)


def test_a_run_directory_that_is_a_file_is_said(tmp_path):
    (tmp_path / "run").write_text("")
    with (
        pytest.raises(RunError, match=r"cannot use `.*run` as the run directory: it is a file"),
        open_run(tmp_path / "run", "1.0"),
    ):
        pass
