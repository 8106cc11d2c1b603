"""A server on this machine that speaks as much of the hub's file protocol as a download needs."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = 10_000
"""Files of so many bytes are served as the hub serves large ones: sha256, by a redirect."""


class HubServer:
    """Serves repositories made of folders, one commit each.

    Attributes:
        requests: `(method, path, range header)` of every request.
        drops: bytes after which the connection breaks, by file name; used up one by one.
        false_content: bytes served in the place of a file, by file name.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, tuple[str, Path]] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.drops: dict[str, list[int]] = {}
        self.false_content: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, repository: str, folder: Path) -> str:
        """Serve a folder; return the commit, a digest of its content."""
        digest = hashlib.sha1()
        for path in sorted(folder.rglob("*")):
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes() if path.is_file() else b"")
        commit = digest.hexdigest()
        self.repositories[repository] = (commit, folder)
        return commit

    def count(self, method: str, ending: str) -> int:
        return sum(1 for m, path, _ in self.requests if m == method and path.endswith(ending))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer()

            def do_GET(self) -> None:
                self.answer()

            def answer(self) -> None:
                path = unquote(urlsplit(self.path).path)
                hub.requests.append((self.command, path, self.headers.get("Range")))
                if match := re.fullmatch(r"/api/models/(.+?)(?:/revision/(.+))?", path):
                    self.answer_info(match[1], match[2])
                elif match := re.fullmatch(r"/(cdn/)?(.+?)/resolve/([^/]+)/(.+)", path):
                    self.answer_file(match[2], match[3], match[4], direct=bool(match[1]))
                else:
                    self.refuse("EntryNotFound")

            def find(self, repository: str, revision: str | None) -> tuple[str, Path] | None:
                if repository not in hub.repositories:
                    self.refuse("RepoNotFound")
                    return None
                commit, folder = hub.repositories[repository]
                if revision not in (None, "main", commit):
                    self.refuse("RevisionNotFound")
                    return None
                return commit, folder

            def answer_info(self, repository: str, revision: str | None) -> None:
                if found := self.find(repository, revision):
                    commit, folder = found
                    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
                    siblings = [describe(path, folder) for path in files]
                    body = {"id": repository, "sha": commit, "siblings": siblings}
                    self.send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

            def answer_file(
                self, repository: str, revision: str, name: str, *, direct: bool
            ) -> None:
                found = self.find(repository, revision)
                if not found:
                    return
                commit, folder = found
                path = folder / name
                if not path.is_file():
                    self.refuse("EntryNotFound", {"X-Repo-Commit": commit})
                    return
                data = path.read_bytes()
                large = len(data) >= LARGE
                headers = {"X-Repo-Commit": commit, "ETag": f'"{checksum(data)}"'}
                if large and not direct:
                    headers["X-Linked-Etag"] = headers.pop("ETag")
                    headers["X-Linked-Size"] = str(len(data))
                    headers["Location"] = f"{hub.url}/cdn/{repository}/resolve/{revision}/{name}"
                    self.send(302, b"", headers)
                    return
                data = hub.false_content.get(name, data)
                status = 200
                if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
                    start, whole = int(match[1]), len(data)
                    data = data[start:]
                    headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
                    status = 206
                drops = hub.drops.get(name)
                drop = drops.pop(0) if drops and self.command == "GET" else None
                self.send(status, data, headers, drop)

            def refuse(self, code: str, headers: dict[str, str] | None = None) -> None:
                self.send(404, b"{}", {"X-Error-Code": code, **(headers or {})})

            def send(
                self, status: int, data: bytes, headers: dict[str, str], drop: int | None = None
            ) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                self.wfile.write(data[:drop])
                if drop is not None:
                    self.wfile.flush()
                    self.close_connection = True

        return Handler


def describe(path: Path, folder: Path) -> dict[str, object]:
    """Describe a file as the hub's list of files does."""
    data = path.read_bytes()
    entry: dict[str, object] = {
        "rfilename": path.relative_to(folder).as_posix(),
        "size": len(data),
        "blobId": git_sha1(data),
    }
    if len(data) >= LARGE:
        entry["lfs"] = {"sha256": checksum(data), "size": len(data), "pointerSize": 134}
    return entry


def checksum(data: bytes) -> str:
    """Return what the hub calls a file by: sha256 of a large one, git's sha1 of a small one."""
    return hashlib.sha256(data).hexdigest() if len(data) >= LARGE else git_sha1(data)


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
