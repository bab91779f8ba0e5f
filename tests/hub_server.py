"""A server that answers the questions about data sets that the Hub's own library asks.

It knows one data set, of which each commit is a folder of files. What it answers follows the Hub's
public API: /api/datasets/NAME/revision/REVISION, /api/datasets/NAME/tree/COMMIT, and
/datasets/NAME/resolve/COMMIT/PATH with the headers ETag and X-Repo-Commit.
"""

import contextlib
import hashlib
import http.server
import json
import threading
import urllib.parse

NAME = "house/letters"


class Hub:
    """A data set, how it misbehaves, and what it was asked.

    Args:
        commits: commit -> path -> content.
        revisions: branch or tag -> commit.
    """

    def __init__(self, commits, revisions):
        self.commits, self.revisions = commits, revisions
        self.damaged = set()  # paths whose last byte comes wrong
        self.lost = set()  # paths at which the connection ends
        self.gated = False
        self.asked = []  # (method, path)
        self.tokens = set()

    def downloads(self):
        """Paths of the files that were sent, in order."""
        return [path.rpartition("/resolve/")[2].partition("/")[2] for method, path in self.asked
                if method == "GET" and "/resolve/" in path]  # fmt: skip

    def commit(self, revision):
        return self.revisions.get(revision, revision if revision in self.commits else None)


@contextlib.contextmanager
def served(hub):
    """Serves a `Hub`; gives its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self._answer()

        def do_GET(self):
            self._answer()

        def _answer(self):
            path = urllib.parse.unquote(self.path.partition("?")[0])
            hub.asked.append((self.command, path))
            hub.tokens.add(self.headers.get("Authorization"))
            if path.startswith(f"/api/datasets/{NAME}"):
                what, _, rest = path.removeprefix(f"/api/datasets/{NAME}").strip("/").partition("/")
                commit = hub.commit(rest if what else "main")
                if hub.gated:
                    self._send(403, b"", {"X-Error-Code": "GatedRepo"})
                elif commit is None:
                    self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
                elif what == "tree":
                    self._send_json([_entry(*file) for file in hub.commits[commit].items()])
                else:
                    self._send_json({"id": NAME, "sha": commit})
            elif path.startswith(f"/datasets/{NAME}/resolve/"):
                self._send_file(path.removeprefix(f"/datasets/{NAME}/resolve/"))
            else:
                self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

        def _send_file(self, address):
            commit, _, path = address.partition("/")
            content = hub.commits[commit][path]
            headers = {"ETag": f'"{_git_sha1(content)}"', "X-Repo-Commit": commit}
            if self.command == "GET" and path in hub.lost:
                self.close_connection = True
                return
            if self.command == "GET" and path in hub.damaged:
                content = content[:-1] + bytes([content[-1] ^ 1])
            self._send(200, content, headers)

        def _send_json(self, tree):
            self._send(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})

        def _send(self, status, content, headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler


def _entry(path, content):
    """What the Hub says of a file; of a Parquet file that it lies in its large file storage."""
    entry = {"type": "file", "path": path, "size": len(content), "oid": _git_sha1(content)}
    if path.endswith(".parquet"):
        pointer = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
        entry["lfs"] = pointer | {"pointerSize": 130}
    return entry


def _git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
