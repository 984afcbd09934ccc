"""A mail server on this machine that keeps what it is sent and passes nothing on."""

import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage


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
	"""Listens on a free port of 127.0.0.1 as long as the `with` block lasts."""

	allow_reuse_address, daemon_threads = True, True

	def __init__(self):
		super().__init__(("127.0.0.1", 0), _Session)
		self.mails: list[EmailMessage] = []
		self.port = self.server_address[1]

	def keep(self, data: bytes):
		"""Called by the sessions."""
		self.mails.append(message_from_bytes(data, policy=policy.default))

	def __enter__(self):
		threading.Thread(target=self.serve_forever, daemon=True).start()
		return self

	def __exit__(self, *_):
		self.shutdown()
		self.server_close()
