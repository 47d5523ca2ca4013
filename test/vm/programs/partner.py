"""A server outside of the mesh that takes TLS alone. It answers with what it was asked by: the version of TLS, the server
name, Host and path.

  python3 partner.py ADDRESS:PORT FOLDER    the folder has tls.crt and tls.key
"""
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        seen = {
            "tls": self.connection.version(),
            "sni": getattr(self.connection, "asked", None),
            "host": self.headers["host"],
            "path": self.path,
        }
        data = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def remember(connection, name, _):
    connection.asked = name


address, port = sys.argv[1].rsplit(":", 1)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{sys.argv[2]}/tls.crt", f"{sys.argv[2]}/tls.key")
context.sni_callback = remember
server = ThreadingHTTPServer((address, int(port)), Handler)
# The handshake is each connection's own matter.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
