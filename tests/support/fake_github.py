"""As much of GitHub's interface as comments need, on a local port."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = "github-actions[bot]"
PER_PAGE = 3
"""Few, so that a pull request has several pages of comments; the real one gives up to 100."""


@dataclass
class FakeGitHub:
    """One repository, someone/model, with pull request 7 from a fork's branch `faster`, and how it was asked."""

    address: str = ""
    token: str = "a-token"  # noqa: S105
    head_sha: str = "a" * 40
    head: str = "stranger:faster"
    status: int = 0
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def repository(self) -> str:
        return f"{self.address}/repos/someone/model"

    @property
    def written(self) -> list[str]:
        return [method for method, _ in self.asked if method != "GET"]

    def add_comment(self, body: str, author: str = BOT) -> dict[str, Any]:
        number = len(self.comments) + 1
        url = f"{self.repository}/issues/comments/{number}"
        found = {"id": number, "url": url, "html_url": f"{url}#html", "body": body, "user": {"login": author}}
        self.comments.append(found)
        return found

    def pull(self) -> dict[str, Any]:
        url, issue = f"{self.repository}/pulls/7", f"{self.repository}/issues/7"
        head = {"sha": self.head_sha, "label": self.head, "ref": self.head.partition(":")[2]}
        return {"number": 7, "url": url, "issue_url": issue, "state": "open", "head": head}

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any, str]:
        """Status, document, and the address of the next page."""
        base = "/repos/someone/model"
        comment = re.fullmatch(rf"{base}/issues/comments/(\d+)", path)
        answer: tuple[int, Any, str] = (404, {"message": "Not Found"}, "")
        if self.status:
            answer = self.status, {"message": "as the test wants"}, ""
        elif path == f"{base}/pulls":
            answer = 200, [self.pull()] if query.get("head") == [self.head] else [], ""
        elif path == f"{base}/pulls/7":
            answer = 200, self.pull(), ""
        elif path == f"{base}/issues/7/comments" and method == "POST":
            answer = 201, self.add_comment(body["body"]), ""
        elif path == f"{base}/issues/7/comments":
            end = int(query.get("page", ["1"])[0]) * PER_PAGE
            following = f"{self.address}{path}?page={end // PER_PAGE + 1}" if len(self.comments) > end else ""
            answer = 200, self.comments[end - PER_PAGE : end], following
        elif comment:
            changed = self.comments[int(comment[1]) - 1]
            changed["body"] = body["body"]
            answer = 200, changed, ""
        return answer


@contextmanager
def fake_github() -> Iterator[FakeGitHub]:
    """Answering until the block ends."""
    state = FakeGitHub()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked = urlsplit(self.path)
            state.asked.append((self.command, self.path))
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            if self.headers.get("Authorization") not in (f"token {state.token}", f"Bearer {state.token}"):
                status, found, following = 401, {"message": "Bad credentials"}, ""
            else:
                status, found, following = state.answer(self.command, asked.path, parse_qs(asked.query), body)
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            if following:
                self.send_header("Link", f'<{following}>; rel="next"')
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
