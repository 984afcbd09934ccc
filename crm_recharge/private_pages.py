"""The pages of one person: nobody keeps them, finds them, frames them, or makes them load what is not theirs.

`PAGES` is the table of them. A page of this app that is not in it fails a test.
"""

import base64
import hashlib
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import frappe
from frappe.website.utils import get_home_page

from crm_recharge import forged


@dataclass(frozen=True)
class Page:
	"""A page: `cards` says that it shows the gateway's form of a card, `token` that a signed token in its address acts, whoever is
	logged in."""

	cards: bool = False
	token: bool = False


PAGES = {
	"credits": Page(cards=True),
	"recharge-confirm": Page(token=True),
	"reorder": Page(token=True),
	"reorders": Page(),
}

HEADERS = {
	"Cache-Control": "no-store, private",
	# The address may be a secret.
	"Referrer-Policy": "no-referrer",
	"X-Robots-Tag": "noindex, nofollow, noarchive",
	# For browsers that do not know frame-ancestors: a button on these pages acts, nobody may lay something over it.
	"X-Frame-Options": "DENY",
	"X-Content-Type-Options": "nosniff",
}

POLICY = {
	"default-src": ("'self'",),
	"script-src": ("'self'",),
	# Frappe and the gateway write styles into the page.
	"style-src": ("'self'", "'unsafe-inline'"),
	"img-src": ("'self'", "data:"),
	"font-src": ("'self'", "data:"),
	"connect-src": ("'self'",),
	"frame-src": ("'none'",),
	"object-src": ("'none'",),
	"base-uri": ("'none'",),
	"form-action": ("'self'",),
	"frame-ancestors": ("'none'",),
}

INLINE = re.compile(rb"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script\s*>", re.IGNORECASE | re.DOTALL)


def begin(name: str) -> None:
	"""What the code of each page begins with: from here on the answer is the page `name`, whatever address led to it.

	Frappe shows one page at several: /credits, /credits.html, / where it is somebody's home page. Raises
	frappe.CSRFTokenError (400) for a form that another site may have sent.
	"""
	frappe.local.flags.crm_recharge_page = name
	if not PAGES[name].token and forged.may_be(getattr(frappe.local, "request", None)):
		forged.refuse()


def page_of(path: str) -> Page | None:
	"""The private page that Frappe shows at that path, if it is one: it takes several spellings for one page."""
	route = posixpath.normpath(path.strip("/ ").lower())
	while route.endswith(".html"):
		route = route.removesuffix(".html").rstrip("/ ")
	if route in (".", "index") and getattr(frappe.local, "session", None):
		route = str(get_home_page()).strip("/ ").lower()
	return PAGES.get(route)


def mark() -> str:
	"""What a template writes before and after each part of the page that is its own, as {{ mark }}.

	Scripts that stand in the page between two marks do not run, whoever wrote them there: the page's own come from
	files. Those around, which are Frappe's, run by their hashes. Nobody can guess the mark.
	"""
	if not getattr(frappe.local, "crm_recharge_mark", None):
		frappe.local.crm_recharge_mark = f"<!--{frappe.generate_hash(length=32)}-->"
	return frappe.local.crm_recharge_mark


def script(name: str) -> str:
	"""The address of a script of ours, new where the script is."""
	return _asset(f"js/{name}")


def style(name: str) -> str:
	"""The address of a style sheet of ours, new where it is."""
	return _asset(f"css/{name}")


def _asset(name: str) -> str:
	path = Path(__file__).parent / "public" / name
	return f"/assets/crm_recharge/{name}?v={int(path.stat().st_mtime)}"


def after_request(response, request) -> None:
	"""Put `HEADERS` and the policy on the answers of `PAGES`. Runs after every request, so it looks at the path first."""
	page = PAGES.get(frappe.local.flags.crm_recharge_page) or page_of(request.path)
	if response is None or not page:
		return
	response.headers.update(HEADERS)
	response.headers["Content-Security-Policy"] = policy(page, _hashes(response))


def policy(page: Page, hashes: list[str]) -> str:
	"""The Content-Security-Policy of `page`."""
	rules = {name: list(sources) for name, sources in POLICY.items()}
	rules["script-src"] += hashes
	if page.cards:
		for name, sources in _of_cards().items():
			rules[name] = [source for source in rules[name] if source != "'none'"] + list(sources)
	for name in ("img-src", "font-src", "style-src"):
		rules[name] += _admitted()
	return "; ".join(f"{name} {' '.join(sources)}" for name, sources in rules.items())


def _of_cards() -> dict[str, tuple]:
	"""What the gateway's own form of a card loads."""
	from crm_recharge.gateway import registry

	sources = registry.adapter().page_sources()
	return {name: tuple(filter(None, map(origin_of, found))) for name, found in sources.items()}


def _admitted() -> list[str]:
	"""Where else pictures, fonts and styles may come from: `crm_recharge_page_sources` in site_config.json, a list of
	addresses such as https://cdn.example.com. Scripts may not."""
	given = frappe.conf.get("crm_recharge_page_sources") or []
	return [
		origin_of(address) for address in ([given] if isinstance(given, str) else given) if origin_of(address)
	]


def origin_of(address: str) -> str:
	"""Scheme, host and port of an address, as a policy names them; empty for what is none."""
	try:
		parts = urlsplit(str(address))
		port = f":{parts.port}" if parts.port else ""
		host = re.fullmatch(r"[A-Za-z0-9.\-*]+", parts.hostname or "")
	except ValueError:
		return ""
	return f"{parts.scheme}://{parts.hostname}{port}" if host and parts.scheme in ("http", "https") else ""


def shows(image: str | None) -> bool:
	"""Whether the pages may show a picture from that address."""
	if not image or (image.startswith("/") and not image.startswith("//")):
		return bool(image)
	return origin_of(image) in _admitted()


def _hashes(response) -> list[str]:
	"""The hashes of the scripts around what is the page's own."""
	mark = getattr(frappe.local, "crm_recharge_mark", None)
	if not mark or response.direct_passthrough or response.mimetype != "text/html":
		return []
	parts = response.get_data().split(mark.encode())
	if len(parts) % 2 == 0:
		return []
	found = [
		script["text"]
		for around in parts[::2]
		for script in INLINE.finditer(around)
		if not re.search(rb"\bsrc\s*=", script["attributes"], re.IGNORECASE)
	]
	return [f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in found]
