"""Which addresses a site may call that people have typed in: none within its own network, unless it is allowed.

Otherwise whoever may enter an address could have the server call what only the server reaches.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from crm_recharge.domain.errors import InvalidRequest, shown

PORTS = {"https": 443, "http": 80}
LONGEST = 500
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Target:
	"""An address to post to, taken apart. `host` as it is resolved and shown in the certificate."""

	scheme: str
	host: str
	port: int
	path: str

	@property
	def netloc(self) -> str:
		host = f"[{self.host}]" if ":" in self.host else self.host
		return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def read_url(url: str) -> Target:
	"""Take a typed address apart. Raises InvalidRequest bad_url: not http(s), without a host, with a password …"""
	text = url.strip() if isinstance(url, str) else ""
	if not text or len(text) > LONGEST or not text.isprintable() or " " in text or "\\" in text:
		raise InvalidRequest("bad_url", value=shown(url))
	try:
		parts = urlsplit(text)
		host = (
			(parts.hostname or "")
			.rstrip(".")
			.encode("idna" if not _is_literal(parts.hostname) else "ascii")
			.decode()
		)
		port = parts.port or PORTS[parts.scheme]
	except (ValueError, KeyError, UnicodeError):
		raise InvalidRequest("bad_url", value=shown(url)) from None
	if not host or "@" in parts.netloc or parts.fragment:
		raise InvalidRequest("bad_url", value=shown(url))
	path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
	if not path.isascii():
		raise InvalidRequest("bad_url", value=shown(url))
	return Target(parts.scheme, host.lower(), port, path)


def _is_literal(host: str | None) -> bool:
	return host is not None and ":" in host


def may_reach(address: str, allowed: Iterable[str] = ()) -> bool:
	"""Whether a resolved address is a public one, or lies in a network that is `allowed` (10.1.0.0/16, 127.0.0.1 …)."""
	try:
		found = ip_address(address.partition("%")[0])
	except ValueError:
		return False
	faces = [found, *_hidden(found)]
	return is_allowed(address, allowed) or all(_is_public(face) for face in faces)


def is_allowed(address: str, allowed: Iterable[str]) -> bool:
	"""Whether an address lies in one of the networks that are `allowed`; what is no network allows nothing."""
	found = ip_address(address.partition("%")[0])
	found = getattr(found, "ipv4_mapped", None) or found
	for text in allowed:
		try:
			network = ip_network(str(text).strip(), strict=False)
		except ValueError:
			continue
		if found.version == network.version and found in network:
			return True
	return False


def _is_public(address: IPv4Address | IPv6Address) -> bool:
	return address.is_global and not address.is_multicast


def _hidden(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
	"""IPv4 addresses that an IPv6 one stands for."""
	if isinstance(address, IPv4Address):
		return []
	found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
	if address in _NAT64:
		found.append(IPv4Address(int(address) & 0xFFFFFFFF))
	# The old way to write one: ::10.0.0.1.
	if int(address) >> 32 == 0:
		found.append(IPv4Address(int(address)))
	return [one for one in found if one is not None]
