"""A web server that offers a folder, with entity tags, and with faults on demand."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext
from threading import Event, Thread


class WebFolder:
    """What a test may change while the server runs. A path begins with a slash."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = ""
        self.port = 0
        # The status with which a path is refused, a limited number of times.
        self.refusals: dict[str, list[int]] = {}
        # Bytes after which the body of a path ends or stalls, though its header says more.
        self.cut: dict[str, int] = {}
        self.stalled: dict[str, int] = {}
        # What runs when half of a body is sent.
        self.halfway: dict[str, Callable[[], object]] = {}
        self.redirects: dict[str, str] = {}
        # The value of the header Authorization that every request needs.
        self.authorization = ""
        self.gets: Counter[str] = Counter()
        self.is_closing = Event()

    def refuse(self, path: str, status: int, times: int = 1000) -> None:
        """Answer the next requests for a path with a status."""
        self.refusals[path] = [status] * times

    def write(self, path: str, data: bytes) -> None:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, folder: WebFolder, *arguments: object) -> None:
        self.folder = folder
        super().__init__(*arguments, directory=str(folder.root))  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        if not self._refuses():
            super().do_HEAD()

    def do_GET(self) -> None:
        self.folder.gets[self.path] += 1
        if self._refuses():
            return
        file = Path(self.translate_path(self.path))
        if file.is_dir():
            super().do_GET()
            return
        if not file.is_file():
            self.send_error(404)
            return
        self._send(file.read_bytes())

    def send_head(self) -> object:
        # Of HEAD, and of folders.
        file = Path(self.translate_path(self.path))
        if file.is_file():
            self._head(file.read_bytes())
            return None
        return super().send_head()

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""

    def _refuses(self) -> bool:
        folder = self.folder
        if folder.authorization and self.headers.get("Authorization") != folder.authorization:
            self.send_error(401)
            return True
        if target := folder.redirects.get(self.path):
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return True
        if statuses := folder.refusals.get(self.path):
            self.send_error(statuses.pop())
            return True
        return False

    def _head(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        self.end_headers()

    def _send(self, data: bytes) -> None:
        folder = self.folder
        self._head(data)
        end = folder.cut.get(self.path, folder.stalled.get(self.path, len(data)))
        half = end // 2
        self.wfile.write(data[:half])
        self.wfile.flush()
        if run := folder.halfway.get(self.path):
            run()
        self.wfile.write(data[half:end])
        self.wfile.flush()
        if self.path in folder.stalled:
            folder.is_closing.wait(60)
        if end < len(data):
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: clients go away in the middle."""


@contextmanager
def web_folder(root: Path, tls: SSLContext | None = None) -> Iterator[WebFolder]:
    """Serve a folder on a free port of this machine during a block."""
    folder = WebFolder(root)
    server = _Server(("127.0.0.1", 0), partial(_Handler, folder))
    folder.port = server.server_address[1]
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    folder.url = f"{'https' if tls else 'http'}://127.0.0.1:{folder.port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield folder
    finally:
        folder.is_closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
