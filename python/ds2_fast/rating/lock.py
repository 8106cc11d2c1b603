"""One process per journal: two would pay for the same samples."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ds2_fast.errors import RunError

# Windows locks bytes, and a locked byte cannot be read: one far behind the text.
_WINDOWS_BYTE = 1 << 30


@contextmanager
def run_lock(journal: Path) -> Iterator[None]:
    """Hold the lock file beside a journal (`<journal>.lock`) for the time of a run.

    The operating system lets go of it however the process ends; the file itself stays, since
    removing it would let two processes lock two files of one name.

    Args:
        journal: the journal to be written.

    Raises:
        RunError: if another process holds it (names its id and start), or the folder cannot be
            written.
    """
    path = journal.with_name(journal.name + ".lock")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RunError(f"cannot write the lock `{path}`: {reason}") from error
    try:
        if not _try_lock(fd):
            raise RunError(
                f"the journal `{journal}` is in use by {_holder(fd)}",
                "wait for it, stop it, or name another run directory",
            )
        holder = {"pid": os.getpid(), "start": time.strftime("%Y-%m-%d %H:%M:%S")}
        try:
            os.ftruncate(fd, 0)
            os.write(fd, json.dumps(holder).encode())
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise RunError(f"cannot write the lock `{path}`: {reason}", "make room") from error
        yield
    finally:
        os.close(fd)


def _holder(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        holder = json.loads(os.read(fd, 200))
        return f"process {holder['pid']}, started {holder['start']}"
    except (ValueError, KeyError, TypeError):
        return "another process that is just starting"


if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, _WINDOWS_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(fd, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
