"""Whether there is memory and disk for what is about to start."""

from __future__ import annotations

import shutil
from pathlib import Path

from ds2_fast.errors import RunError

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def check_room(
    what: str,
    *,
    memory: int,
    disk: int,
    folder: Path,
    mend: str,
    root: Path = Path("/"),
) -> None:
    """Refuse work that this machine has no room for, before it starts.

    Args:
        what: the work, as the subject of a sentence.
        memory: bytes it takes at most.
        disk: bytes it writes at most.
        folder: where it writes.
        mend: what takes less memory.
        root: where the system's files are.

    Raises:
        RunError: if there is less than that. What cannot be found out is not checked.
    """
    free = available_memory(root)
    if free is not None and memory > free:
        raise RunError(
            f"{what} takes up to {size(memory)} of memory, and {size(free)} are available", mend
        )
    left = free_disk(folder)
    if left is not None and disk > left:
        raise RunError(
            f"{what} takes up to {size(disk)} of disk, and `{folder}` has {size(left)} left",
            "free some space, or choose another folder with `--run-dir`",
        )


def available_memory(root: Path = Path("/")) -> int | None:
    """Find out how many bytes this process can still use.

    The least of what the system can give without writing out its own (`MemAvailable` and free swap)
    and what each control group around the process still allows, pages that only cache files being
    given back first.

    Args:
        root: where `proc` and `sys` are.

    Returns:
        Bytes, or None where the system does not say (not Linux).
    """
    try:
        lines = (root / "proc/meminfo").read_text("utf-8").splitlines()
        sizes = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
        free = sizes["MemAvailable"] + sizes.get("SwapFree", 0)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return max(0, min([free, *_allowed(root)]))


def _allowed(root: Path) -> list[int]:
    """What each control group around this process still allows, in bytes."""
    try:
        groups = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            top = root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = root / "sys/fs/cgroup/memory"
        else:
            continue
        folder = top / path.lstrip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(top):
                break
            left = _left(group, *names)
            found += [] if left is None else [left]
    return found


def _left(group: Path, limit: str, usage: str, cached: str) -> int | None:
    """What one control group still allows; None if it sets no limit or is not visible here."""
    try:
        allowed, used = (int((group / name).read_text("utf-8")) for name in (limit, usage))
    except (OSError, ValueError):  # `max` is no number
        return None
    try:
        lines = (group / "memory.stat").read_text("utf-8").splitlines()
        reclaimed = next(int(line.split()[1]) for line in lines if line.split()[0] == cached)
    except (OSError, ValueError, IndexError, StopIteration):
        reclaimed = 0
    return allowed - used + reclaimed


def free_disk(folder: Path) -> int | None:
    """Find out how many bytes can be written below a folder; None if nobody says."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def size(count: int) -> str:
    """Say bytes as people do: `1.3 GB`."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
