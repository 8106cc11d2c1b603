"""What a benchmark ran on: the part of a result that says what its figures are worth elsewhere."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FEATURES = ("avx2", "fma", "f16c", "avx512", "avx_vnni", "amx", "asimddp", "i8mm", "sve")
"""Instruction sets a dot product may use; `avx512` and `amx` stand for all that begin so."""


def describe_machine() -> dict[str, Any]:
    """Return date, commit, processor, its instruction sets, cores, memory and load."""
    processor, flags = read_cpuinfo()
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit or None,
        "processor": processor,
        "features": [flag for flag in flags if flag.startswith(FEATURES)],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_1min": round(os.getloadavg()[0], 2),
    }


def describe_versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the version of Python and of every installed distribution named."""
    names = dict.fromkeys(["numpy", *distributions])
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def read_cpuinfo() -> tuple[str, list[str]]:
    """Return model and flags of the first core; only the architecture where Linux is not."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine(), []
    first_core = cpuinfo.read_text().split("\n\n")[0]
    fields = dict(
        (part.strip() for part in line.split(":", 1))
        for line in first_core.splitlines()
        if ":" in line
    )
    model = fields.get("model name") or platform.machine()
    family, number = fields.get("cpu family"), fields.get("model")
    if family and number:
        model = f"{model} (family {family}, model {number})"
    return model, (fields.get("flags") or fields.get("Features") or "").split()
