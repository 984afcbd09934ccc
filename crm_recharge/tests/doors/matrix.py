"""Runs the probes and judges them."""

import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import frappe

from crm_recharge.tests.doors import table
from crm_recharge.tests.doors.probes import Probe
from crm_recharge.tests.doors.records import FOREIGN
from crm_recharge.tests.doors.runner import Answer, Door
from crm_recharge.tests.doors.world import World

SHOWN_LINES = 60


@dataclass
class Outcome:
	"""How many probes there were, what failed, and which doors let nobody in who might."""

	tried: Counter = field(default_factory=Counter)
	failures: list[str] = field(default_factory=list)
	seconds: float = 0
	processor_seconds: float = 0
	spent: Counter = field(default_factory=Counter)
	opened: dict[str, set[bool]] = field(default_factory=lambda: defaultdict(set))

	@property
	def never_opened(self) -> list[str]:
		return sorted(what for what, ways in self.opened.items() if True not in ways)

	def summary(self) -> str:
		kinds = ", ".join(f"{number:,} {kind}" for kind, number in self.tried.most_common())
		return f"{sum(self.tried.values()):,} probes in {self.seconds:.0f} s ({self.processor_seconds:.0f} s of this process): {kinds}; {len(self.failures)} failed"

	def report(self) -> str:
		lines = [self.summary(), *self.failures[:SHOWN_LINES]]
		if len(self.failures) > SHOWN_LINES:
			by_what = Counter(line.split(" · ")[1] for line in self.failures)
			lines.append(f"… and {len(self.failures) - SHOWN_LINES} more. All, by door:")
			lines += [f"{number:6} {what}" for what, number in by_what.most_common(40)]
		return "\n".join(lines)


class Judge:
	"""Sends each probe and says what is wrong with the answer."""

	def __init__(self, world: World, door: Door):
		self.world, self.door = world, door
		self.outcome = Outcome()

	def run(self, probes) -> Outcome:
		begun, begun_work = time.monotonic(), time.process_time()
		for probe in probes:
			started = time.monotonic()
			self.try_out(probe)
			self.outcome.spent[probe.what.split(": ")[-1]] += time.monotonic() - started
		self.outcome.seconds = time.monotonic() - begun
		self.outcome.processor_seconds = time.process_time() - begun_work
		return self.outcome

	def try_out(self, probe: Probe) -> None:
		self.outcome.tried[probe.kind] += 1
		if probe.before:
			self.door.send(probe.person.user, probe.before())
		ask = self._asked(probe)
		answer = self.door.send(probe.person.user, ask)
		if answer.status == 429:
			self.door.undo()
			frappe.cache.delete_keys("rl:")
			answer = self.door.send(probe.person.user, ask)
		for wrong in self._wrong(probe, answer, ask.sent):
			self.outcome.failures.append(f"{probe.line} → {wrong}")
		self.door.undo()

	def _asked(self, probe: Probe):
		user = frappe.session.user
		if user != "Administrator":
			frappe.session.user = "Administrator"
		try:
			return probe.ask()
		finally:
			frappe.session.user = user

	# -- what is wrong -----------------------------------------------------------------------------------

	def _wrong(self, probe: Probe, answer: Answer, sent: str):
		if answer.status >= 500 and not (probe.breaks and not probe.allowed):
			yield f"answered {answer.status}: {_error_of(answer)}"
			return
		if leaked := self.seen(probe.hidden, answer, "" if probe.kind in ("list", "figures") else sent):
			yield f"nothing shown/shows {', '.join(leaked[:3])} ({answer.status})"
		if secrets := [word for word in probe.secrets if word in answer.text]:
			yield f"nothing shown/shows {', '.join(secrets)} ({answer.status})"
		if probe.allowed:
			yield from self._wrong_if_let_in(probe, answer, sent)
		else:
			yield from self._wrong_if_refused(probe, answer)

	def _wrong_if_let_in(self, probe: Probe, answer: Answer, sent: str):
		reading = not probe.writes
		works = answer.status < 400 if reading else not answer.refused
		if not works and not probe.asks_more:
			yield f"let in/was answered {answer.status}: {_error_of(answer)}"
			return
		if probe.shown and not self.seen((probe.shown,), answer, sent if probe.kind == "read" else ""):
			yield f"its record shown/not in the answer ({answer.status})"
		if probe.counts is not None and _number(answer) != probe.counts:
			yield f"{probe.counts} counted/was {_number(answer)}"
		if probe.writes:
			self.outcome.opened[probe.what].add(
				probe.changes in answer.written if probe.changes else answer.status < 400
			)
			theirs = probe.whose != FOREIGN and [
				doctype for doctype in answer.written if self._is_closed(probe.person, doctype)
			]
			if theirs and (touched := self.world.touched(FOREIGN, theirs)):
				yield f"others' records untouched/changed {', '.join(touched)}"
		if probe.without:
			yield from self._wrong_without(probe, answer)

	def _is_closed(self, person, doctype: str) -> bool:
		"""Whether a User Permission closes other sides' records of `doctype` to the person."""
		return doctype in table.DOCTYPES and not person.reaches(FOREIGN, table.confined_by(doctype))

	def _wrong_without(self, probe: Probe, answer: Answer):
		"""The answer must not depend on what is not seen."""
		self.world.take_away(probe.without)
		again = self.door.send(probe.person.user, self._asked(probe))
		if _body(again) != _body(answer):
			yield "the same without others' records/differs"

	def _wrong_if_refused(self, probe: Probe, answer: Answer):
		if not (probe.quiet or probe.breaks or answer.refused):
			yield f"refused/was answered {answer.status} {_error_of(answer)}".rstrip()
		if answer.written and not probe.before:
			changed = self.world.changed(answer.written, self.door)
			if changed:
				yield f"nothing changed/changed {', '.join(changed)} ({answer.status})"

	def seen(self, sides: tuple[str, ...], answer: Answer, sent: str) -> list[str]:
		"""Marks of records of `sides` in the answer, beside those that the request itself named."""
		of = [self.world.sides[side] for side in sides]
		marks = [mark for side in of for mark in side.words if mark in answer.text]
		if answer.status < 400:
			marks += [mark for side in of for mark in side.ids if mark in answer.text]
		return [mark for mark in marks if mark not in sent]


def _error_of(answer: Answer) -> str:
	found = re.search(r'"exc_type": ?"(\w+)"', answer.text)
	message = re.search(r'"exception": ?"([^"]{0,160})', answer.text)
	return " ".join(part[1] for part in (found, message) if part)


def _body(answer: Answer) -> str:
	"""Without what tells the time."""
	text = answer.text.split("\n", 1)[-1] if answer.text.startswith("text/html") else answer.text
	return re.sub(
		r'"execution_time": ?[\d.]+|\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+', "", text[text.find("{") :]
	)


def _number(answer: Answer):
	found = re.search(r'"(?:message|data)": ?([\d.]+)', answer.text)
	return int(float(found[1])) if found else None
