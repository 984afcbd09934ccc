"""A mail server on this machine that keeps what it is sent and passes nothing on.

	python dev/lib/mail_sink.py --port N --folder FOLDER

Each mail becomes a file of its own in the folder (.eml), named so that they sort by when they came.
"""

import argparse
import socketserver
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import count
from pathlib import Path


class _Session(socketserver.StreamRequestHandler):
	"""SMTP as far as a mail is handed over (RFC 5321, 4.1): no login, no encryption, no extension."""

	def handle(self):
		self._say("220 mail sink")
		while line := self.rfile.readline(2000):
			verb = line.split(b" ")[0].strip().upper()
			if verb == b"DATA":
				self._say("354 go ahead")
				self.server.keep(self._data())
				self._say("250 kept")
			elif verb == b"QUIT":
				self._say("221 bye")
				return
			elif verb in (b"HELO", b"EHLO", b"MAIL", b"RCPT", b"RSET", b"NOOP"):
				self._say("250 ok")
			else:
				self._say("502 not here")

	def _data(self) -> bytes:
		lines = []
		while (line := self.rfile.readline()) not in (b".\r\n", b".\n", b""):
			lines.append(line[1:] if line.startswith(b"..") else line)
		return b"".join(lines)

	def _say(self, text: str):
		self.wfile.write(f"{text}\r\n".encode())


class MailSink(socketserver.ThreadingTCPServer):
	"""Listens on a port of 127.0.0.1 and keeps mails in a folder."""

	allow_reuse_address, daemon_threads = True, True

	def __init__(self, port: int, folder: Path):
		super().__init__(("127.0.0.1", port), _Session)
		self.folder, self.numbers = folder, count()
		folder.mkdir(parents=True, exist_ok=True)

	def keep(self, data: bytes):
		"""Called by the sessions. Written under another name first: who reads the folder sees whole mails."""
		name = f"{time.time_ns():020d}-{next(self.numbers):04d}"
		part = self.folder / f"{name}.part"
		part.write_bytes(data)
		part.rename(self.folder / f"{name}.eml")


def mails(folder: Path) -> list[EmailMessage]:
	"""What has been kept in `folder` so far, the oldest first."""
	return [
		message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))
	]


if __name__ == "__main__":
	parser = argparse.ArgumentParser(description="Keeps mails and passes nothing on.")
	parser.add_argument("--port", type=int, required=True)
	parser.add_argument("--folder", type=Path, required=True)
	options = parser.parse_args()
	MailSink(options.port, options.folder).serve_forever()
