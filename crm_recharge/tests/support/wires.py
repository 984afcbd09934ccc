"""Trip wires across a worker's way: whoever is told to die at one kills its own process there, without a word.

There is a wire before each effect of the machine, after each statement to the database, and after each call of
the gateway.
"""

import os
import signal

import frappe

from crm_recharge.gateway.stripe.gateway import StripeGateway
from crm_recharge.recharge.performer import Performer

CALLS = ("charge", "cancel", "retrieve", "find_by_attempt", "refund", "retrieve_refund", "list_refunds")


class Wires:
	"""`crossed` names the wires passed so far, in order; at the `deadly` one (from 1) the process is killed."""

	def __init__(self, deadly: int | None = None):
		self.crossed: list[str] = []
		self.deadly = deadly

	def cross(self, name: str):
		self.crossed.append(name)
		if len(self.crossed) == self.deadly:
			os.kill(os.getpid(), signal.SIGKILL)

	def stretch(self):
		"""From now on, in this process. It is a child's own: nothing is put back."""
		self._before_effects()
		self._after(frappe.local.db, "sql", lambda query, *rest: "sql " + " ".join(str(query).split())[:70])
		for call in CALLS:
			self._after(StripeGateway, call, lambda *_, call=call: f"gateway {call}")

	def _before_effects(self):
		original = Performer.do

		def do(performer, effect):
			self.cross(f"before {type(effect).__name__}")
			return original(performer, effect)

		Performer.do = do

	def _after(self, owner, name: str, label):
		original = getattr(owner, name)

		def call(*args, **kwargs):
			answer = original(*args, **kwargs)
			self.cross("after " + label(*args))
			return answer

		setattr(owner, name, call)


def count(work, *args) -> tuple[object, list[str]]:
	"""In a child: what `work` returns, and the wires it crosses."""
	wires = Wires()
	wires.stretch()
	return work(*args), wires.crossed


def die_at(deadly: int, work, *args):
	"""In a child: do `work`, and die at the wire with this number (from 1)."""
	Wires(deadly).stretch()
	return work(*args)


def choose(crossed: list[str], how_many: int) -> list[int]:
	"""Numbers of wires to die at: just after each commit and gateway call, the rest spread over the whole way."""
	weighty = [
		n
		for n, name in enumerate(crossed, 1)
		if name.startswith("after gateway") or name == "after sql commit"
	]
	rest = [n for n in range(1, len(crossed) + 1) if n not in weighty]
	room = max(0, how_many - len(weighty))
	if room:
		step = max(1.0, len(rest) / room)
		weighty += [rest[int(k * step)] for k in range(min(room, len(rest)))]
	return sorted(weighty)
