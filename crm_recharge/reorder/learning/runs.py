"""The record of work that goes on by itself: Reorder Run, with heartbeat, progress and what was skipped."""

import json
from datetime import timedelta

import frappe
from frappe import _

from crm_recharge import clock, transactions
from crm_recharge.clock import now_datetime
from crm_recharge.doors.guard import by_machine

RUN = "Reorder Run"
HISTORY, REFIT = "History", "Refit"
RUNNING, DONE, PROBLEMS, FAILED = "Running", "Done", "Done with Problems", "Failed"
DEAD_AFTER = timedelta(minutes=15)
"""Without a heartbeat for so long, whoever did it is gone."""
MAX_PROBLEMS = 500


class Run:
	"""One Reorder Run under way. Every method that writes commits."""

	def __init__(self, name: str):
		self.name = name
		row = frappe.db.get_value(
			RUN, name, ["total", "done", "reached", "figures", "problems"], as_dict=True
		)
		self.total, self.done, self.reached = row.total or 0, row.done or 0, row.reached or ""
		self.figures: dict = json.loads(row.figures or "{}")
		self.problems: list[str] = [line for line in (row.problems or "").splitlines() if line]

	@classmethod
	def start(cls, kind: str, total: int = 0) -> "Run":
		"""A new run of `kind`."""
		doc = frappe.get_doc(
			{
				"doctype": RUN,
				"kind": kind,
				"status": RUNNING,
				"started_at": now_datetime(),
				"heartbeat_at": now_datetime(),
				"total": total,
				"done": 0,
				"progress": 0,
			}
		)
		by_machine(doc).insert(ignore_permissions=True)
		return cls(doc.name)

	def problem(self, what: str, why: str, advice: str | None = None) -> None:
		"""Note something that was skipped; written at the next heartbeat."""
		line = " · ".join(part.replace("\n", " ") for part in (what, why, advice) if part)
		if line not in self.problems:
			self.problems.append(line)

	def count(self, **figures) -> None:
		"""Add to the figures."""
		for name, value in figures.items():
			self.figures[name] = round(self.figures.get(name, 0) + value, 3)

	def beat(self, done: int, reached: str | None = None) -> bool:
		"""Write how far it is, and commit; False when somebody else has taken the run over, or ended it."""
		before = self.reached
		self.done, self.reached = done, self.reached if reached is None else reached
		frappe.db.sql(
			f"UPDATE `tab{RUN}` SET `done` = %s, `reached` = %s, `progress` = %s, `heartbeat_at` = %s,"
			" `figures` = %s, `problems` = %s WHERE `name` = %s AND `status` = %s"
			" AND COALESCE(`reached`, '') = %s",
			(
				self.done,
				self.reached,
				self.progress,
				now_datetime(),
				json.dumps(self.figures),
				self._problems(),
				self.name,
				RUNNING,
				before,
			),
		)
		mine = frappe.db._cursor.rowcount > 0
		transactions.commit()
		return mine

	@property
	def progress(self) -> float:
		"""Per cent done."""
		return round(min(100.0 * self.done / self.total, 100.0), 2) if self.total else 0.0

	def finish(self, summary: str) -> None:
		"""It is done."""
		self._end(PROBLEMS if self.problems else DONE, summary, progress=100)

	def fail(self, summary: str) -> None:
		"""It ended with an error, which is in the Error Log."""
		self._end(FAILED, summary)

	def _end(self, status: str, summary: str, **values) -> None:
		frappe.db.set_value(
			RUN,
			self.name,
			{
				"status": status,
				"ended_at": now_datetime(),
				"heartbeat_at": now_datetime(),
				"summary": summary,
				"done": self.done,
				"figures": json.dumps(self.figures, indent=1),
				"problems": self._problems(),
				**values,
			},
		)
		transactions.commit()

	def _problems(self) -> str:
		shown = self.problems[:MAX_PROBLEMS]
		if len(self.problems) > MAX_PROBLEMS:
			shown.append(_("… and {0} more").format(len(self.problems) - MAX_PROBLEMS))
		return "\n".join(shown)


def running(kind: str) -> str | None:
	"""The run of `kind` that is under way, whether alive or not; None without."""
	return frappe.db.get_value(RUN, {"kind": kind, "status": RUNNING}, "name", order_by="creation desc")


def is_alive(name: str, within: timedelta = DEAD_AFTER) -> bool:
	"""Whether the run's heart has beaten `within` that time."""
	return clock.is_recent(frappe.db.get_value(RUN, name, "heartbeat_at"), within)


def under_way(kind: str) -> list[str]:
	"""The runs of `kind` that have not ended, alive or not."""
	return frappe.get_all(RUN, {"kind": kind, "status": RUNNING}, pluck="name")


def bury(kind: str) -> None:
	"""End runs of `kind` whose worker is gone, and commit."""
	for name in under_way(kind):
		if not is_alive(name):
			Run(name).fail(_("Interrupted: its worker is gone. The next run does what was left."))
