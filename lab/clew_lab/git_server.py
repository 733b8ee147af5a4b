"""A git repository on 127.0.0.1 by the smart HTTP protocol, for tests of what takes its configuration from git.

git's own `git http-backend` answers; this hands it each request by CGI, as a web server does. Only fetching is served.
"""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesHeaderParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["Repository", "serve_repository"]

_AUTHOR = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Lab"), ("EMAIL", "lab@clew.dev"))}
_NO_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


class Repository:
    """A repository with a branch `main`, in a folder of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        """Make it, empty; `url` is where it is served."""
        self.folder = folder
        self.url = url
        folder.mkdir()
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, file: str, text: str) -> str:
        """Commit a file with that text; return the commit's hash."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self._git("add", file)
        return self._committed("commit", "--quiet", f"--message=Change {file}")

    def revert(self) -> str:
        """Take the last commit back by another; return its hash."""
        return self._committed("revert", "--no-edit", "HEAD")

    def _committed(self, *args: str) -> str:
        self._git(*args)
        return self._git("rev-parse", "HEAD")

    def _git(self, *args: str) -> str:
        environment = {**os.environ, **_AUTHOR, **_NO_SETTINGS}
        done = subprocess.run(["git", *args], cwd=self.folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()


@contextmanager
def serve_repository(folder: Path) -> Iterator[Repository]:
    """Make a repository in `folder`, which must not exist yet, and serve it while the body runs."""

    class Handler(_Handler):
        root = folder.parent

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="git over HTTP")
        thread.start()
        try:
            yield Repository(folder, f"http://127.0.0.1:{server.server_port}/{folder.name}")
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One request is one run of `git http-backend` for the repositories below `root`."""

    root: Path

    def do_GET(self) -> None:
        """What there is to fetch."""
        self._ask_git(b"")

    def do_POST(self) -> None:
        """The fetch itself."""
        self._ask_git(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: whoever fetches says what went wrong."""

    def _ask_git(self, sent: bytes) -> None:
        path, _, query = self.path.partition("?")
        asked = {
            "CONTENT_LENGTH": str(len(sent)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
        }
        environment = {**os.environ, **_NO_SETTINGS, **asked}
        answer = subprocess.run(["git", "http-backend"], input=sent, env=environment, check=True, stdout=subprocess.PIPE).stdout
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = BytesHeaderParser().parsebytes(head)
        self.send_response(int(headers.get("Status", "200").split()[0]))
        for name, value in headers.items():
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
