"""The installation, the processor, the room, and the keys in the environment."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from ds2_fast import _core
from ds2_fast.doctor.finding import Finding
from ds2_fast.room import available_memory, free_disk, size

FEATURES = ("avx2", "fma", "f16c", "avx512f", "avx512vl", "avx512_vnni", "avx_vnni", "asimd")
"""Flags of a processor that the kernels ask for."""
THREADS = "RAYON_NUM_THREADS"
_NEEDED = ("numpy", "polars", "click", "rich", "onnxruntime", "tokenizers", "usearch", "litellm")
_LITTLE = 1 << 30
"""Bytes below which memory or disk is called little: a pool of 300,000 samples takes about that."""


def package() -> Finding:
    """Compare the version of the package with that of its core."""
    try:
        wheel = metadata.version("ds2-fast")
    except metadata.PackageNotFoundError:
        return Finding("package", "wrong", "ds2-fast is not installed", "pip install ds2-fast")
    again = "install it anew: pip install --force-reinstall ds2-fast"
    if wheel != _core.__version__:
        return Finding(
            "package", "wrong", f"ds2-fast {wheel} with the core of {_core.__version__}", again
        )
    if _core.debug_build:
        return Finding("package", "wrong", f"ds2-fast {wheel}, a slow debug build", again)
    return Finding(
        "package", "ok", f"ds2-fast {wheel}, its core too, Python {platform.python_version()}"
    )


def libraries() -> Finding:
    """Look for the libraries, without loading them."""
    found, missing = [], []
    for name in _NEEDED:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(
            "libraries", "wrong", f"{', '.join(missing)} not installed", "pip install ds2-fast"
        )
    return Finding("libraries", "ok", ", ".join(found))


def processor(root: Path = Path("/")) -> Finding:
    """Name the processor's features and the kernel they allow."""
    flags = processor_flags(root)
    named = " ".join(flag for flag in FEATURES if flag in flags) or "no vector features known"
    try:
        kernel = _core.kernel_name()
    except ValueError as error:
        return Finding("processor", "wrong", str(error), "unset DS2_FAST_KERNEL")
    forced = ", as DS2_FAST_KERNEL says" if os.environ.get("DS2_FAST_KERNEL") else ""
    return Finding(
        "processor", "ok", f"{platform.machine()}, {named}; searches run on {kernel}{forced}"
    )


def processor_flags(root: Path = Path("/")) -> set[str]:
    """Read the processor's flags; none where the system does not say (not Linux)."""
    try:
        lines = (root / "proc/cpuinfo").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return set()
    named = (line for line in lines if line.startswith(("flags", "Features")))
    return set(next(named, ":").partition(":")[2].split())


def threads(environment: Mapping[str, str] = os.environ) -> Finding:
    """Count the processors this process may use, and read what limits the threads."""
    from ds2_fast.embedding.opening import count_threads

    count = count_threads()
    usable = f"{count} processor{'s'[: count != 1]} usable"
    asked = environment.get(THREADS)
    if asked is None:
        return Finding("threads", "ok", f"{usable}, all used")
    if not asked.isdecimal() or int(asked) < 1:
        return Finding(
            "threads",
            "wrong",
            f"{usable}, and {THREADS}={asked!r} is no number of threads",
            f"unset {THREADS}, or use `--threads`",
        )
    if int(asked) > count:
        return Finding(
            "threads",
            "note",
            f"{usable}, and {THREADS}={asked} asks for more: they get in each other's way",
            f"unset {THREADS}",
        )
    return Finding("threads", "ok", f"{usable}, {asked} used, as {THREADS} says")


def memory(root: Path = Path("/")) -> Finding:
    """Say how much memory there is for this process."""
    free = available_memory(root)
    if free is None:
        return Finding("memory", "ok", "this system does not say how much is left")
    if free < _LITTLE:
        return Finding(
            "memory", "note", f"{size(free)} left, which is little", "end what is not needed"
        )
    return Finding("memory", "ok", f"{size(free)} left")


def disk(folder: Path, what: str) -> Finding:
    """Say whether a folder can be written to, and how much it takes.

    Args:
        folder: the folder, which need not be there yet.
        what: what it is used for.
    """
    name, there = f"disk, {what}", folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Finding(name, "wrong", f"`{folder}`: {reason}", _other_folder(what))
    free = free_disk(folder)
    if free is not None and free < _LITTLE:
        return Finding(
            name, "note", f"{size(free)} left in `{folder}`, which is little", _other_folder(what)
        )
    return Finding(name, "ok", f"`{folder}`" if free is None else f"{size(free)} in `{folder}`")


def _other_folder(what: str) -> str:
    option = {
        "runs": "another folder with `--run-dir`",
        "models": "another folder with DS2_FAST_CACHE",
    }
    return f"free some space, or name {option.get(what, 'another folder with TMPDIR')}"


def keys(environment: Mapping[str, str] = os.environ) -> Finding:
    """Name the variables that hold a provider's key; their values are not looked at further."""
    named = sorted(
        name for name, value in environment.items() if name.endswith("_API_KEY") and value
    )
    if named:
        return Finding("keys", "ok", ", ".join(named))
    return Finding(
        "keys",
        "note",
        "no variable *_API_KEY in the environment",
        "export a provider's key to rate with it; pools with scores and servers of your own need "
        "none",
    )
