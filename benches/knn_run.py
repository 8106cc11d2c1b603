"""One run of one program in a process of its own: seconds inside around the work, and memory.

`run_program` starts this file as a script, which runs the program on a small file first (threads
start, libraries load, numba compiles), and then on the file in question, against the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knn_programs import OURS, PEERS, Answer, Program

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
POLL_SECONDS = 0.02
LINUX = Path("/proc/self/clear_refs").exists()


@dataclass(frozen=True)
class Task:
    """What to run, and on what.

    Attributes:
        label: name of the program; ours begin with `ds2-fast `.
        file: `.npy` with the rows.
        warm: `.npy` with a few of them.
        queries: rows to be answered, from the first on.
    """

    label: str
    file: Path
    warm: Path
    k: int
    threads: int
    queries: int

    @property
    def program(self) -> Program:
        """The program of that name."""
        ours = self.label.removeprefix("ds2-fast ")
        return PEERS[self.label] if ours == self.label else OURS[ours]


@dataclass(frozen=True)
class Run:
    """What one run gave.

    Attributes:
        wall, cpu: seconds from the file to the answer; where only some rows were answered, the
            search (not the preparation) is scaled up to all.
        peak_rss: highest resident memory during the work, in bytes, pages of mapped files included.
        allocated: highest anonymous memory during the work less that before it, sampled every 20
            ms; None where the system does not tell.
        info: what the program says about itself.
        indices: (queries, k).
    """

    wall: float
    cpu: float
    peak_rss: int
    allocated: int | None
    info: object
    indices: NDArray[Any]


class ProgramFailedError(Exception):
    """A program ended with an error; its message is the last line it wrote."""


def memory(field: str, process: int | str = "self") -> int:
    """Return a field of `/proc/PID/status` in bytes; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(field)), 0)


def run_program(task: Task, scratch: Path) -> Run:
    """Run the task in a process of its own.

    Raises:
        ProgramFailedError: if it fails.
    """
    started, answer, log = (scratch / name for name in ("started", "answer", "log"))
    started.unlink(missing_ok=True)
    arguments = [json.dumps(asdict(task), default=str), str(started), str(answer)]
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(task.threads))
    highest = 0
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            if LINUX and started.exists():
                highest = max(highest, memory("RssAnon", process.pid))
    if process.returncode:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise ProgramFailedError(f"exit {process.returncode}: {' '.join(lines[-1:])}")
    report = json.loads(answer.with_suffix(".json").read_text())
    before = report.pop("anonymous_before")
    return Run(
        **report,
        allocated=max(highest - before, 0) if LINUX else None,
        indices=np.load(answer.with_suffix(".npy")),
    )


def clock() -> NDArray[np.float64]:
    return np.array([time.perf_counter(), time.process_time()])


def peak_rss() -> int:
    if LINUX:
        return memory("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def time_program(task: Task, started: Path) -> tuple[dict[str, Any], Answer]:
    """Run the program warm, in this process."""
    program = task.program
    program.prepare(task.warm, task.k, task.threads)(len(np.load(task.warm, mmap_mode="r")))
    rows = len(np.load(task.file, mmap_mode="r"))
    if LINUX:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the warm-up
    anonymous_before = memory("RssAnon")
    started.touch()
    begun = clock()
    search = program.prepare(task.file, task.k, task.threads)
    prepared = clock()
    answer = search(task.queries)
    wall, cpu = prepared - begun + (clock() - prepared) * rows / task.queries
    report = {"wall": wall, "cpu": cpu, "peak_rss": peak_rss()}
    return report | {"anonymous_before": anonymous_before}, answer


def main() -> None:
    parser = argparse.ArgumentParser(description="one run for bench_knn.py")
    parser.add_argument("task")
    parser.add_argument("started", type=Path)
    parser.add_argument("answer", type=Path)
    options = parser.parse_args()
    fields = json.loads(options.task)
    task = Task(**fields | {name: Path(fields[name]) for name in ("file", "warm")})
    report, answer = time_program(task, options.started)
    np.save(options.answer.with_suffix(".npy"), answer.indices)
    info = asdict(answer.info) if hasattr(answer.info, "__dataclass_fields__") else answer.info
    text = json.dumps(report | {"info": info}, default=str)
    options.answer.with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
