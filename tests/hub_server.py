"""The part of the Hub's HTTP API that huggingface_hub speaks when it makes a repository, uploads a folder and downloads a
snapshot, on loopback and in memory: what the real client sends is checked here, and answered as the Hub answers.

Storage is git LFS ("basic" transfers); the client's Xet protocol is left out, so clients set HF_HUB_DISABLE_XET.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"
_LFS_SIZE = 30_000  # bytes; smaller files go into the commit itself


@dataclass
class Repo:
    """Commits are whole trees, by path; a file is its bytes, whichever way it came."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        tree = json.dumps([branch, len(self.commits), {path: _sha256(data) for path, data in files.items()}])
        sha = hashlib.sha1(tree.encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha


class HubServer(ThreadingHTTPServer):
    """``repos`` by id; ``requests`` as (method, path), in order."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def storage(self) -> str:
        """Where large files are redirected to: another host by its name, as on the Hub, and without the token."""
        return f"http://localhost:{self.server_port}"

    def downloaded(self) -> set[str]:
        """The files that were asked for so far (a large one with HEAD, and then fetched from `storage`)."""
        found = (re.fullmatch(r"/[^/]+/[^/]+/resolve/[^/]+/(.+)", path) for _, path in self.requests)
        return {match[1] for match in found if match}


@contextmanager
def serving() -> Iterator[HubServer]:
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path))
        self.body = self._read()
        try:
            for method, pattern, handle in _ROUTES:
                match = re.fullmatch(pattern, path)
                if match and self.command in method.split():
                    return handle(self, **match.groupdict())
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"{self.command} {path}: no such route")
        except _RefusedError as error:
            headers = {"X-Error-Message": str(error)} | ({"X-Error-Code": error.code} if error.code else {})
            self._send(json.dumps({"error": str(error)}).encode(), error.status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, body: bytes, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: Any) -> None:
        self._send(json.dumps(value).encode())

    # ── who may do what ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _authorized(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _writer(self) -> None:
        if not self._authorized:
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "Invalid username or password.")

    def _repo(self, repo_id: str) -> Repo:
        repo = self.server.repos.get(repo_id)
        if repo is None or (repo.private and not self._authorized):
            raise _RefusedError(HTTPStatus.NOT_FOUND, "Repository not found", "RepoNotFound")
        return repo

    def _sha(self, repo: Repo, revision: str) -> str:
        sha = repo.branches.get(revision, revision)
        if sha not in repo.commits:
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self) -> None:
        self._writer()
        wanted = json.loads(self.body)
        repo_id = f"{wanted['organization']}/{wanted['name']}"
        url = {"url": f"{self.server.endpoint}/{repo_id}", "name": repo_id}
        if repo_id in self.server.repos:
            return self._send(json.dumps(url).encode(), HTTPStatus.CONFLICT)
        repo = self.server.repos[repo_id] = Repo(
            private=wanted.get("visibility") == "private" or bool(wanted.get("private"))
        )
        repo.commit("main", {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
        return self._json(url)

    def create_branch(self, repo_id: str, branch: str) -> None:
        self._writer()
        repo = self._repo(repo_id)
        if branch in repo.branches:
            raise _RefusedError(HTTPStatus.CONFLICT, "Reference already exists")
        repo.branches[branch] = repo.branches["main"]
        self._json({})

    def validate_yaml(self) -> None:
        good = json.loads(self.body)["content"].startswith("---\n")
        self._json(
            {"errors": [], "warnings": [] if good else [{"message": "empty or missing yaml metadata in repo card"}]}
        )

    def preupload(self, repo_id: str, revision: str) -> None:
        self._writer()
        tree = self._repo(repo_id).commits[self._sha(self._repo(repo_id), revision)]
        files = json.loads(self.body)["files"]
        assert all(len(base64.b64decode(file["sample"])) <= 512 for file in files)
        self._json({"files": [
            {"path": file["path"], "uploadMode": "lfs" if file["size"] > _LFS_SIZE else "regular", "shouldIgnore": False,
             "oid": _blob_id(tree[file["path"]]) if file["path"] in tree else None}
            for file in files
        ]})  # fmt: skip

    def lfs_batch(self, repo_id: str) -> None:
        self._writer()
        batch = json.loads(self.body)
        assert batch["operation"] == "upload"
        assert batch["hash_algo"] == "sha256"
        assert "basic" in batch["transfers"]

        def action(wanted: dict[str, Any]) -> dict[str, Any]:
            actions = {
                "upload": {"href": f"{self.server.endpoint}/lfs/{wanted['oid']}", "header": {}},
                "verify": {"href": f"{self.server.endpoint}/lfs/verify", "header": {}},
            }
            there = wanted["oid"] in self.server.objects
            return {"oid": wanted["oid"], "size": wanted["size"]} | ({} if there else {"actions": actions})

        self._json({"transfer": "basic", "objects": [action(wanted) for wanted in batch["objects"]]})

    def lfs_put(self, oid: str) -> None:
        if _sha256(self.body) != oid:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "the content is not what its name says")
        self.server.objects[oid] = self.body
        self._json({})

    def lfs_verify(self) -> None:
        said = json.loads(self.body)
        if len(self.server.objects.get(said["oid"], b"")) != said["size"]:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "no such object")
        self._json({})

    def commit(self, repo_id: str, revision: str) -> None:
        self._writer()
        repo = self._repo(repo_id)
        files = dict(repo.commits[self._sha(repo, revision)])
        lines = [json.loads(line) for line in self.body.splitlines()]
        assert lines[0]["key"] == "header"
        assert lines[0]["value"]["summary"]
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                assert value["encoding"] == "base64"
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            else:
                raise _RefusedError(HTTPStatus.BAD_REQUEST, f"{line['key']}: not done here")
        sha = repo.commit(revision, files)
        self._json({"success": True, "commitOid": sha, "commitUrl": f"{self.server.endpoint}/{repo_id}/commit/{sha}"})

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def info(self, repo_id: str, revision: str | None = None) -> None:
        repo = self._repo(repo_id)
        sha = self._sha(repo, revision or "main")
        siblings = [{"rfilename": path} for path in repo.commits[sha]]
        self._json({"_id": repo_id, "id": repo_id, "modelId": repo_id, "sha": sha, "private": repo.private,
                    "siblings": siblings, "tags": [], "downloads": 0, "likes": 0})  # fmt: skip

    def tree(self, repo_id: str, revision: str) -> None:
        repo = self._repo(repo_id)
        self._json([
            {"type": "file", "path": path, "size": len(data), "oid": _blob_id(data)}
            | ({"lfs": {"oid": _sha256(data), "size": len(data), "pointerSize": 134}} if len(data) > _LFS_SIZE else {})
            for path, data in repo.commits[self._sha(repo, revision)].items()
        ])  # fmt: skip

    def resolve(self, repo_id: str, revision: str, path: str) -> None:
        repo = self._repo(repo_id)
        sha = self._sha(repo, revision)
        if path not in repo.commits[sha]:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "Entry not found", "EntryNotFound")
        data = repo.commits[sha][path]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{_blob_id(data)}"', "Content-Type": "application/octet-stream"}
        if len(data) <= _LFS_SIZE:
            return self._send(data, headers=headers)
        oid = _sha256(data)
        headers |= {
            "X-Linked-Etag": f'"{oid}"',
            "X-Linked-Size": str(len(data)),
            "Location": f"{self.server.storage}/cdn/{oid}",
        }
        return self._send(b"", HTTPStatus.FOUND, headers)

    def cdn(self, oid: str) -> None:
        assert "Authorization" not in self.headers
        self._send(self.server.objects[oid], headers={"ETag": f'"{oid}"', "Content-Type": "application/octet-stream"})


_ID = r"(?P<repo_id>[^/]+/[^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate_yaml),
    ("POST", f"/api/models/{_ID}/branch/(?P<branch>.+)", _Handler.create_branch),
    ("POST", f"/api/models/{_ID}/preupload/(?P<revision>.+)", _Handler.preupload),
    ("POST", f"/api/models/{_ID}/commit/(?P<revision>.+)", _Handler.commit),
    ("POST", rf"/{_ID}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("POST", "/lfs/verify", _Handler.lfs_verify),
    ("PUT", "/lfs/(?P<oid>[0-9a-f]{64})", _Handler.lfs_put),
    ("GET", f"/api/models/{_ID}", _Handler.info),
    ("GET", f"/api/models/{_ID}/revision/(?P<revision>.+)", _Handler.info),
    ("GET", f"/api/models/{_ID}/tree/(?P<revision>[^/]+)", _Handler.tree),
    ("GET HEAD", f"/{_ID}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.resolve),
    ("GET HEAD", "/cdn/(?P<oid>[0-9a-f]{64})", _Handler.cdn),
]
