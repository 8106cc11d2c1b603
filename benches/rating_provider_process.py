"""The test server of the rating engine in a process of its own, for benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests"


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    base: str

    def ledger(self) -> list[list[Any]]:
        """Every request so far: key, attempt, kind, answered, at, done."""
        with urllib.request.urlopen(f"{self.base}/ledger", timeout=120) as told:
            return [json.loads(line) for line in told]


@contextmanager
def serving(provider: Mapping[str, Any]) -> Iterator[Serving]:
    """Run a server with these faults and limits; it ends with the block."""
    command = [sys.executable, str(TESTS / "rating_server.py"), json.dumps(provider)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        base = process.stdout.readline().strip()
        if not base:
            raise RuntimeError("the server did not start")
        try:
            yield Serving(base)
        finally:
            process.kill()
