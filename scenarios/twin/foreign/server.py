"""A server that is not ours: Python's http.server, one request at a time, each with some milliseconds of CPU to burn.

    python3 server.py PORT
"""
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/health":
            # Log-normal, 20 ms on average.
            until = time.thread_time() + random.lognormvariate(-4.037, 0.5)
            while time.thread_time() < until:
                pass
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


class Server(HTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
