"""An ordinary application: HTTP with the standard library, nothing of the mesh in it.

Settings by environment: NAME, VERSION, LISTEN (address:port), PEERS (URLs, separated by spaces, asked for /chain).

  GET /             who answers, and what the proxy in front of it says of the caller
  GET /chain        the same, with the answers of PEERS
  GET /call?url=U&host=H   the answer of U, asked by this process; H: another Host header
  GET /slow?ms=N    the same as /, after N ms
  GET /health       ok
"""
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = os.environ["NAME"]
VERSION = os.environ.get("VERSION", "v1")
PEERS = os.environ.get("PEERS", "").split()
TIMEOUT_S = 10


def call(url, host=None):
    """Asks with a connection of its own; an answer of any status is one."""
    request = urllib.request.Request(url, headers={} if host is None else {"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return {"status": answer.status, "body": answer.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}
    except OSError as error:
        return {"status": 0, "body": f"{type(error).__name__}: {error}"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else small answers wait for the caller's delayed acknowledgements.
    disable_nagle_algorithm = True

    def do_GET(self):
        target = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(target.query))
        status = 200
        if target.path == "/health":
            self.answer(200, {"ok": True})
            return
        if target.path == "/call":
            self.answer(200, call(query["url"], query.get("host")))
            return
        if target.path == "/slow":
            time.sleep(int(query["ms"]) / 1000)
        body = {
            "name": NAME,
            "version": VERSION,
            "machine": socket.gethostname(),
            "peer": self.client_address[0],
            "peerPort": self.client_address[1],
            "caller": self.headers.get("x-forwarded-client-cert"),
            "echo": query.get("echo"),
        }
        if target.path == "/chain":
            body["peers"] = {}
            for peer in PEERS:
                answer = call(peer)
                if answer["status"] != 200:
                    status = 502
                body["peers"][peer] = json.loads(answer["body"]) if answer["status"] == 200 else answer
        self.answer(status, body)

    def answer(self, status, body):
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


address, port = os.environ["LISTEN"].rsplit(":", 1)
print(f"{NAME} {VERSION} listens on {address}:{port}", file=sys.stderr)
Server((address, int(port)), Handler).serve_forever()
