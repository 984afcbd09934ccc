"""Which site this is for the payment gateway, and whether it still stands where it stood.

A copy of a site holds the same keys, cards and open payments as the original: what it did with them, it would do with
the original's money. So the site remembers, in its database, where it stands: its name, its database, and a mark in a
file of its folder, which no backup takes along. Where that differs, the database has been copied or moved: nothing is
asked of the gateway before a person has said which of the two it is (see recharge/moving.py).
"""

import contextlib
import hashlib
import json
import os
import secrets

import frappe
from frappe import _

from crm_recharge import transactions
from crm_recharge.domain.fit import Site

KEY = "crm_recharge_home"
MARK_FILE = ".crm_recharge_home"


class SiteAway(frappe.ValidationError):
	"""This site's database has been copied or moved, and nobody has confirmed it yet."""


def site() -> Site:
	"""This site as its payments name it."""
	kept = remembered()
	return Site(frappe.local.site, kept["id"] if kept else _first_id())


def marks() -> dict[str, str]:
	"""What the payments of this site carry, to tell them from those of a copy."""
	found = site()
	return {"site": found.name, "site_id": found.id}


def is_home() -> bool:
	"""Whether the site stands where it stood; one that has never been used stands anywhere."""
	kept = remembered()
	return kept is None or here() == {key: kept.get(key) for key in here()}


def only_at_home() -> None:
	"""Raise SiteAway on a site that was copied or moved, with a text for whoever asks."""
	if is_home():
		return
	if frappe.db.get_value("User", frappe.session.user, "user_type") == "System User":
		frappe.throw(in_words(), SiteAway, title=_("Payments Rest"))
	frappe.throw(_("Payments rest for the moment. Try again later."), SiteAway, title=_("Payments Rest"))


def in_words() -> str:
	"""Why payments rest, for the company's own people."""
	kept = remembered() or {}
	return _(
		"No payment is made on this site: its database belongs to the site {0} (database {1}), so it has been copied or"
		" moved. Open CRM Recharge Settings and say which of the two it is."
	).format(kept.get("site"), kept.get("database"))


def here() -> dict[str, str]:
	"""Where the site stands now."""
	conf = frappe.conf
	host = conf.get("db_socket") or f"{conf.get('db_host') or 'localhost'}:{conf.get('db_port') or ''}"
	return {"site": frappe.local.site, "database": f"{conf.db_name}@{host.rstrip(':')}", "place": _mark()}


def remembered() -> dict | None:
	"""Where it stood when it was last confirmed, with its id; None on a site that has not been used yet."""
	text = frappe.db.get_global(KEY)
	return json.loads(text) if text else None


def remember(site_id: str | None = None) -> None:
	"""This is where the site stands, under the id it has or a new one. The caller commits."""
	frappe.db.set_global(KEY, json.dumps({"id": site_id or site().id, **here()}))


def settle_in() -> None:
	"""Remember where a site stands that has not been used yet. Commits."""
	if remembered() is None:
		remember()
		transactions.commit()


def forget() -> None:
	"""Take away the mark in the site's folder."""
	with contextlib.suppress(FileNotFoundError):
		os.remove(frappe.get_site_path(MARK_FILE))


def new_id() -> str:
	"""An id that no other site has."""
	return secrets.token_hex(8)


def _first_id() -> str:
	"""The id of a site that has not been used yet: the same for each process that asks."""
	return hashlib.sha256(f"{_mark()}:{frappe.local.site}".encode()).hexdigest()[:16]


def _mark() -> str:
	"""The mark in the site's folder; made when it is not there yet."""
	path = frappe.get_site_path(MARK_FILE)
	try:
		with open(path) as file:
			return file.read().strip()
	except FileNotFoundError:
		return _make_mark(path)


def _make_mark(path: str) -> str:
	draft = f"{path}.{secrets.token_hex(4)}"
	try:
		with open(draft, "x") as file:
			file.write(secrets.token_hex(16))
		# Whole or not at all; of two that make it at once the first wins.
		os.link(draft, path)
	except FileExistsError:
		pass
	except OSError:
		# A folder that cannot be written tells nothing; name and database still do.
		return ""
	finally:
		if os.path.exists(draft):
			os.remove(draft)
	return _mark()
