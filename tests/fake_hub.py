"""A Hugging Face Hub on this machine: what uploading and downloading a model asks of it."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

COMMIT = "c" * 40


class FakeHub:
    """Its repositories; ``files`` of a name are paths with their bytes."""

    def __init__(self):
        self.tokens = {"hf_alice": "alice"}
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits: list[list[str]] = []
        self.metadata_error = ""
        self.blobs: dict[str, bytes] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def body(self):
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def answer(self):
                path = unquote(urlsplit(self.path).path)
                user = hub.tokens.get(self.headers.get("Authorization", "")[len("Bearer ") :])
                status, body, headers = hub.answer(self.command, path, self.body(), user)
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, method, path, body, user):
        """Return status, body and headers."""
        if method == "PUT" and path.startswith("/blob/"):
            self.blobs[path[len("/blob/") :]] = body
            return 200, b"", {}
        if "/resolve/" in path:
            name, _, file = path[1:].partition("/resolve/")
            return self.resolve(name, file.partition("/")[2])
        if path == "/api/whoami-v2":
            who = {"type": "user", "name": user, "orgs": [], "auth": {"type": "access_token"}}
            return (200, who, {}) if user else (401, {"error": "Invalid username or password."}, {})
        if path == "/api/validate-yaml":
            if self.metadata_error:
                return 400, {"errors": [{"message": self.metadata_error}], "warnings": []}, {}
            return 200, {"errors": [], "warnings": []}, {}
        if path == "/api/repos/create":
            asked = json.loads(body)
            owner = asked.get("organization") or user
            if owner != user:
                return 403, {"error": f"You don't have the rights for {owner}"}, {}
            name = f"{owner}/{asked['name']}"
            self.files.setdefault(name, {})
            self.private[name] = asked.get("visibility") == "private"
            return 200, {"url": f"{self.endpoint}/{name}", "name": name}, {}
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                one | {"actions": {"upload": {"href": f"{self.endpoint}/blob/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            return 200, {"transfer": "basic", "objects": objects}, {}
        name = "/".join(path.removeprefix("/api/models/").split("/")[:2])
        if name not in self.files:
            return 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
        if method == "GET":
            card = self.files[name].get("README.md", b"").decode().split("---\n")
            tags = (yaml.safe_load(card[1]) if len(card) > 1 else {}).get("tags", [])
            siblings = [{"rfilename": file} for file in self.files[name]]
            private = self.private.get(name, False)
            about = {"id": name, "siblings": siblings, "tags": tags, "private": private}
            return 200, about, {}
        if name.partition("/")[0] != user:
            return 403, {"error": "You have read access but not write access"}, {}
        if "/preupload/" in path:
            modes = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(body)["files"]
            ]
            return 200, {"files": modes}, {}
        return self.commit(name, [json.loads(line) for line in body.splitlines()])

    def commit(self, name, lines):
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.files[name][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                blob = self.blobs[value["oid"]]
                assert hashlib.sha256(blob).hexdigest() == value["oid"]
                self.files[name][value["path"]] = blob
        paths = [line["value"]["path"] for line in lines if line["key"] != "header"]
        self.commits.append(sorted(paths))
        url = f"{self.endpoint}/{name}/commit/{COMMIT}"
        return 200, {"commitUrl": url, "commitOid": COMMIT, "success": True}, {}

    def resolve(self, name, file):
        if name not in self.files:
            return 404, b"", {"X-Error-Code": "RepoNotFound"}
        if file not in self.files[name]:
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        data = self.files[name][file]
        tag = hashlib.sha256(data).hexdigest()
        return 200, data, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}
