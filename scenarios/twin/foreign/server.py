"""A server that is not ours: Python's http.server, one request at a time, each of which takes some milliseconds.

    python3 server.py PORT          waits for them, as for a database
    python3 server.py PORT cpu      burns them: on a busy machine they take longer
"""
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer


def wait(seconds):
    time.sleep(seconds)


def burn(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/health":
            # Log-normal, 20 ms on average.
            work(random.lognormvariate(-4.037, 0.5))
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


class Server(HTTPServer):
    request_queue_size = 128


work = burn if sys.argv[2:] == ["cpu"] else wait
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
