"""`atomic_path`: whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from ds2_fast.atomic import atomic_path
from ds2_fast.errors import RunError


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_writes_the_file_and_leaves_nothing_else(tmp_path):
    with atomic_path(tmp_path / "a.jsonl.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("a.jsonl.gz")
        assert not (tmp_path / "a.jsonl.gz").exists()
        temporary.write_bytes(b"new")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == b"new"
    assert names(tmp_path) == ["a.jsonl.gz"]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_temporary_one(tmp_path, stop):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(stop), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise stop
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.name != "posix", reason="modes and links as POSIX has them")
def test_keeps_the_mode_and_follows_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "a.json", tmp_path / "link.json"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with atomic_path(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert names(tmp_path) == ["link.json", "real"]


@pytest.mark.skipif(os.name != "posix", reason="modes as POSIX has them")
def test_a_new_file_obeys_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_body_that_removes_its_file(tmp_path):
    target = tmp_path / "a.json"
    with pytest.raises(RunError) as caught, atomic_path(target) as temporary:
        temporary.unlink()
    assert caught.value.message == f"cannot write `{target}`: no such file or directory"
    assert names(tmp_path) == []


def test_no_folder(tmp_path):
    target = tmp_path / "missing" / "a.json"
    with pytest.raises(RunError) as caught, atomic_path(target):
        pass
    assert caught.value.message == (
        f"cannot write `{target}`: there is no folder `{target.parent}`"
    )
    assert caught.value.hint == f"make it: `mkdir -p {target.parent}`"


def test_the_folder_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    target = tmp_path / "file" / "a.json"
    with pytest.raises(RunError) as caught, atomic_path(target):
        pass
    assert caught.value.message == f"cannot write `{target}`: `{tmp_path / 'file'}` is a file"


def test_the_target_is_a_folder(tmp_path):
    with pytest.raises(RunError) as caught, atomic_path(tmp_path):
        pass
    assert caught.value.message == f"`{tmp_path}` is a folder, not a file"


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="needs a folder this user may not write to"
)
def test_a_folder_without_permission(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with pytest.raises(RunError) as caught, atomic_path(folder / "a.json"):
        pass
    assert caught.value.message == f"cannot write `{folder / 'a.json'}`: permission denied"


def test_a_device_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(RunError, match="is a device or a pipe"), atomic_path(pipe):
        pytest.fail("the body must not run")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
