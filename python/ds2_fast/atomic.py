"""Writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ds2_fast.errors import RunError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file whole or not at all.

    The body writes to the path it is given: a hidden, empty file in the target's own folder, with
    the same suffixes as the target. When the body ends, the file is flushed to the disk and takes
    the target's name in one step. When the body raises (Ctrl-C included), the file is removed and
    what stood at the target is untouched. A symbolic link is followed: the file it points to is
    replaced, the link stays.

    Args:
        path: where the finished file belongs.

    Yields:
        The path to write to.

    Raises:
        RunError: if the folder does not exist or cannot be written, the target is a folder or a
            device, or the disk is full by the end. What the body raises passes through.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "transition.json"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("{}")
        >>> target.read_text()
        '{}'
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise RunError(f"`{path}` is a folder, not a file", "name the file inside it")
    if target.exists() and not target.is_file():  # renaming over a device would replace it
        raise RunError(f"`{path}` is a device or a pipe, not a file", "name a file")
    # The token comes first so that the suffixes, which pick a format, stay those of the target.
    temporary = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
    try:
        # Not `tempfile`: its files are private (0600), the finished file obeys the umask.
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise _cannot_write(path, target, error) from error
    try:
        yield temporary
        try:
            _finish(temporary, target)
        except OSError as error:
            raise _cannot_write(path, target, error) from error
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def _cannot_write(path: str | os.PathLike[str], target: Path, error: OSError) -> RunError:
    folder = target.parent
    if not folder.exists():
        return RunError(
            f"cannot write `{path}`: there is no folder `{folder}`", f"make it: `mkdir -p {folder}`"
        )
    if not folder.is_dir():
        return RunError(f"cannot write `{path}`: `{folder}` is a file", "choose another folder")
    reason = (error.strerror or str(error)).lower()
    return RunError(f"cannot write `{path}`: {reason}", "choose a folder you may write to")


def _finish(temporary: Path, target: Path) -> None:
    # Opened for writing: Windows refuses to flush a read-only handle.
    with temporary.open("rb+") as file:
        # A full disk may only show here.
        os.fsync(file.fileno())
    if target.exists():
        temporary.chmod(target.stat().st_mode)
    temporary.replace(target)


def _flush_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system lets a folder be flushed."""
    if os.name != "posix":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
