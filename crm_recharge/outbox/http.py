"""One POST to an address that a person has typed in: to no private network, without redirects, within a time.

Not by Frappe's or requests' means: they follow redirects, look the name up a second time after it was checked, and
bound each wait but not the whole.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from ipaddress import ip_address

import frappe
from frappe import _

from crm_recharge.domain.reach import Target, is_allowed, may_reach, read_url

ALLOWED = "crm_recharge_webhooks_may_reach"
"""In the site's configuration: networks or addresses of its own that may be called all the same."""
LIMIT = 10
"""Seconds for all of it: connecting, sending, the answer."""
LONGEST_ANSWER = 4000


class NotReached(frappe.ValidationError):
	"""Nobody took it: a name that is not known, a connection that is refused, no answer in time."""


class NotAllowed(frappe.ValidationError):
	"""The address lies in a private network, or is not encrypted."""


@dataclass(frozen=True)
class Answer:
	"""An answer's status, the beginning of its text, and how long it took."""

	status: int
	text: str
	milliseconds: int


def post(url: str, body: bytes, headers: dict[str, str]) -> Answer:
	"""POST `body`. Raises NotAllowed, NotReached, or InvalidRequest bad_url."""
	target, began = read_url(url), time.monotonic()
	address = addresses(target)[0]
	connection = _connection(target, address)
	# A server that answers a byte at a time meets no time-out of its own.
	timer = threading.Timer(LIMIT, _cut, [connection])
	timer.start()
	try:
		sent = {"Host": target.netloc, "Content-Length": str(len(body)), "Connection": "close", **headers}
		connection.request("POST", target.path, body=body, headers=sent)
		answer = connection.getresponse()
		text = answer.read(LONGEST_ANSWER).decode("utf-8", "replace")
		return Answer(answer.status, text, round((time.monotonic() - began) * 1000))
	except (OSError, http.client.HTTPException, ValueError) as error:
		if time.monotonic() - began >= LIMIT:
			raise NotReached(_("There was no answer within {0} seconds.").format(LIMIT)) from None
		raise NotReached(f"{type(error).__name__}: {error}"[:300]) from None
	finally:
		timer.cancel()
		connection.close()


def addresses(target: Target) -> list[str]:
	"""What the host's name stands for, if all of that may be called. Raises NotReached, NotAllowed."""
	allowed = allowed_networks()
	try:
		found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
	except (OSError, UnicodeError):
		raise NotReached(_("The name {0} is not known.").format(target.host)) from None
	resolved = list(dict.fromkeys(str(info[4][0]) for info in found))
	if not all(may_reach(address, allowed) for address in resolved):
		raise NotAllowed(
			_(
				"{0} lies in a private network, which is not called. A System Manager can allow it by {1} in the site's configuration."
			).format(target.host, ALLOWED)
		)
	if target.scheme != "https" and not all(is_allowed(address, allowed) for address in resolved):
		raise NotAllowed(_("Only https is called: use an address that begins with https://."))
	return resolved


def allowed_networks() -> list[str]:
	"""Networks of the site's own that may be called."""
	found = frappe.conf.get(ALLOWED) or []
	return [found] if isinstance(found, str) else list(found)


def _connection(target: Target, address: str) -> http.client.HTTPConnection:
	if target.scheme == "https":
		return _Https(target, address)
	return _Http(target, address)


class _Http(http.client.HTTPConnection):
	"""To the address that was checked, whatever the name stands for by now."""

	def __init__(self, target: Target, address: str):
		super().__init__(target.host, target.port, timeout=LIMIT)
		self.address = address

	def connect(self):
		family = (
			socket.AF_INET6 if ip_address(self.address.partition("%")[0]).version == 6 else socket.AF_INET
		)
		self.sock = socket.socket(family, socket.SOCK_STREAM)
		self.sock.settimeout(self.timeout)
		self.sock.connect((self.address, self.port))


class _Https(_Http):
	def connect(self):
		super().connect()
		self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def _cut(connection: http.client.HTTPConnection) -> None:
	if connection.sock:
		with contextlib.suppress(OSError):
			connection.sock.shutdown(socket.SHUT_RDWR)
