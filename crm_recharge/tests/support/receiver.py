"""A receiver of webhooks for tests: what was posted to it, answered as it is told to."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Posted(NamedTuple):
	"""One request: its path, headers (names in lower case) and raw body."""

	path: str
	headers: dict
	body: bytes


class Receiver:
	"""Serves on a port of this machine. `answers`: statuses to give next, then 200; a float waits so many seconds."""

	def __init__(self):
		self.posted: list[Posted] = []
		self.answers: list = []
		receiver = self

		class Handler(BaseHTTPRequestHandler):
			def do_POST(self):
				length = int(self.headers.get("Content-Length") or 0)
				headers = {name.lower(): value for name, value in self.headers.items()}
				receiver.posted.append(Posted(self.path, headers, self.rfile.read(length)))
				self.answer(receiver.answers.pop(0) if receiver.answers else 200)

			do_GET = do_POST

			def answer(self, status):
				if isinstance(status, float):
					return self.drip(status)
				self.send_response(status)
				if 300 <= status < 400:
					self.send_header("Location", f"{receiver.url}elsewhere")
				self.send_header("Content-Length", "2")
				self.end_headers()
				self.wfile.write(b"ok")

			def drip(self, seconds):
				"""A byte now and then: no single wait is long."""
				until = time.monotonic() + seconds
				try:
					while time.monotonic() < until:
						self.wfile.write(b"H")
						time.sleep(0.1)
				except OSError:
					pass

			def log_message(self, *arguments):
				pass

		self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
		self.url = f"http://127.0.0.1:{self.server.server_port}/"
		threading.Thread(target=self.server.serve_forever, daemon=True).start()

	def stop(self):
		self.server.shutdown()
		self.server.server_close()
