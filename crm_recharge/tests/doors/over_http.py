"""A sample of the probes over real HTTP, to show that this process answers as a server does."""

import frappe
import requests

from crm_recharge.tests.doors.matrix import Judge
from crm_recharge.tests.doors.probes import Probe
from crm_recharge.tests.doors.runner import Answer, Ask, Door, text_of
from crm_recharge.tests.doors.world import World
from crm_recharge.tests.support.web import Web

# The keys of the stand-in are this process's alone.
NEEDS_KEYS = "api.recharge.card_form"


def differences(world: World, probes: list[Probe], number: int) -> tuple[int, list[str]]:
	"""Try some of the probes both ways. Returns how many, and where a server answered otherwise.

	Only what changes nothing is tried: what is read, and what is refused.
	"""
	harmless = [
		p
		for p in probes
		if p.kind in ("read", "list", "count", "method")
		and not (p.writes and p.allowed)
		and NEEDS_KEYS not in p.line
	]
	refused = [p for p in probes if p.writes and not p.allowed and p.kind != "method"]
	some = [*_every(harmless, number * 2 // 3), *_every(refused, number - number * 2 // 3)]
	web, tokens = Web().start(), _tokens(world)
	try:
		asks = [(probe, probe.ask()) for probe in some]
		with Door() as door:
			here = []
			for probe, ask in asks:
				here.append(door.send(probe.person.user, ask))
				door.undo()
		there = [send(web.url, tokens.get(probe.person.user), ask) for probe, ask in asks]
	finally:
		web.stop()
	judge = Judge(world, None)
	return len(some), [
		f"{probe.line}: here {one.status}, over HTTP {other.status}"
		for (probe, ask), one, other in zip(asks, here, there, strict=True)
		if one.status != other.status
		or judge.seen(probe.hidden, one, ask.sent) != judge.seen(probe.hidden, other, ask.sent)
	]


def _every(probes: list[Probe], number: int) -> list[Probe]:
	return probes[:: max(len(probes) // number, 1)][:number]


def _tokens(world: World) -> dict[str, str]:
	"""User → what goes with its requests."""
	tokens = {}
	for person in world.people:
		if person.user != "Guest":
			key, secret = frappe.generate_hash(length=15), frappe.generate_hash(length=15)
			user = frappe.get_doc("User", person.user)
			user.api_key, user.api_secret = key, secret
			user.save()
			tokens[person.user] = f"token {key}:{secret}"
	frappe.db.commit()
	return tokens


def send(url: str, token: str | None, ask: Ask) -> Answer:
	"""`ask` over HTTP."""
	session = requests.Session()
	session.trust_env = False
	session.headers["Accept"] = "application/json"
	if token:
		session.headers["Authorization"] = token
	if ask.verb == "GET":
		body = {"params": ask.fields}
	elif ask.as_json:
		body = {"json": ask.args}
	else:
		body = {"data": ask.fields}
		if ask.upload is not None:
			body["files"] = {"file": ("door.txt", ask.upload)}
	response = session.request(ask.verb, url + ask.path, timeout=60, allow_redirects=False, **body)
	headers = " ".join(response.headers.values())
	return Answer(response.status_code, text_of(response.content, headers))
