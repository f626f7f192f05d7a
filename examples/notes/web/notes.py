"""Keeps notes for as long as it runs, and says where a real one would keep them. Only the standard library is used."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

NOTES = []
DATABASE = urlsplit(os.environ["DATABASE_URL"])


class Notes(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz":
            return self.answer(200, {"database": f"{DATABASE.hostname}:{DATABASE.port}"})
        self.answer(200, {"notes": NOTES})

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        NOTES.append(self.rfile.read(min(length, 10_000)).decode(errors="replace"))
        self.answer(201, {"notes": len(NOTES)})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Notes).serve_forever()
