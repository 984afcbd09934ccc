"""Reading all invoices and deliveries there are, once: in slices that survive being killed, beside new ones."""

import time

import frappe
from frappe import _

from crm_recharge import transactions
from crm_recharge.clock import now_datetime
from crm_recharge.doors import sight
from crm_recharge.intake import intake
from crm_recharge.reorder import words
from crm_recharge.reorder.learning import pairs, runs
from crm_recharge.reorder.learning.documents import DOCUMENTS
from crm_recharge.reorder.learning.runs import HISTORY, Run

METHOD = "crm_recharge.reorder.learning.history.carry_on"
NIGHTLY = "crm_recharge.reorder.learning.nightly.learn"
SLICE_INVOICES = 2_000
"""Documents in one slice, whose customers are locked together: well under a second of work."""
SLICE_CUSTOMERS = 150
BUDGET = 600
"""Seconds after which a job hands over to the next, so that no worker is held for hours."""
ROLES = ("Reorder Manager", "System Manager")
SOURCES = (*DOCUMENTS, "Reorder Customer")
"""Whose customers are read: who buys, and of whom something is learned already."""


@frappe.whitelist(methods=["POST"])
@intake
def start() -> str:
	"""Read all invoices in the background; returns the Reorder Run. One that is under way goes on instead.

	For Reorder Managers. Reading again is harmless: it leaves what is right as it is.
	"""
	if not set(ROLES) & set(frappe.get_roles()):
		raise frappe.PermissionError(_("Only a {0} may have the purchases read.").format(_(ROLES[0])))
	if sight.customers():
		raise frappe.PermissionError(
			_(
				"The purchases of all customers are read: whoever may not see all of them cannot have that done."
			)
		)
	return begin()


def begin() -> str:
	"""As `start`, for the app itself."""
	name = runs.running(HISTORY)
	if not name:
		name = Run.start(HISTORY, total=_count()).name
	elif runs.is_alive(name):
		return name
	_enqueue_after_commit(name)
	return name


def begin_once() -> str | None:
	"""At install and at migration: begin where there are invoices and nothing was ever learned."""
	learned = frappe.db.exists(runs.RUN, {"kind": HISTORY}) or frappe.db.exists(pairs.PURCHASE_DAY, {})
	return None if learned or not _next_slice("") else begin()


def take_up() -> str | None:
	"""Hourly: a reading whose worker is gone, or whose job was lost, is taken up where it stopped."""
	name = runs.running(HISTORY)
	if not name or runs.is_alive(name):
		return None
	# Whoever gets this far first has it; a second sweeper finds the heart beating.
	frappe.db.set_value(runs.RUN, name, "heartbeat_at", now_datetime(), update_modified=False)
	_enqueue_after_commit(name)
	transactions.commit()
	return name


def _enqueue_after_commit(name: str) -> None:
	frappe.db.after_commit.add(lambda: _enqueue(name))


def _enqueue(name: str) -> None:
	try:
		# A job of its own each time: that of a killed worker counts as running for a while.
		frappe.enqueue(METHOD, queue="long", timeout=BUDGET * 3, run=name)
	except Exception:
		frappe.logger("crm_recharge").warning(f"{name} was not enqueued; the sweep will", exc_info=True)


# -- the work ------------------------------------------------------------------------------------------------------------


def carry_on(run: str, budget: float = BUDGET) -> str:
	"""Go on with a reading from where it stopped; returns its status. Run by a worker."""
	transactions.commit()
	if frappe.db.get_value(runs.RUN, run, "status") != runs.RUNNING:
		return frappe.db.get_value(runs.RUN, run, "status")
	work = Run(run)
	began = time.monotonic()
	while customers_ := _next_slice(work.reached):
		if not _slice(work, customers_):
			return runs.RUNNING
		_show(work)
		if time.monotonic() - began > budget:
			_enqueue(run)
			return runs.RUNNING
	work.finish(
		_("{0} of {1} in {2}.").format(
			words.counted(int(work.figures.get("lines", 0)), _("1 purchase line"), _("{0} purchase lines")),
			words.customers(work.done),
			words.seconds(round(work.figures.get("seconds", 0))),
		)
	)
	_show(work)
	_fit_next()
	return runs.DONE


def _slice(work: Run, customers_: list[str]) -> bool:
	"""Learn some customers; those that cannot be learned together one by one. False when the run is another's."""
	began = time.monotonic()
	try:
		lines = _learn(work, customers_)
	except Exception:
		frappe.db.rollback()
		lines = sum(_learn_alone(work, customer) for customer in customers_)
	work.count(lines=lines, seconds=time.monotonic() - began)
	return work.beat(work.done + len(customers_), customers_[-1])


def _learn(work: Run, customers_: list[str]) -> int:
	rebuilt = pairs.rebuild(customers_)
	for customer, item, why in rebuilt.problems:
		work.problem(f"{customer} · {item}", why, _("See the report Purchase Data Quality"))
	return rebuilt.lines


def _learn_alone(work: Run, customer: str) -> int:
	try:
		return _learn(work, [customer])
	except Exception as error:
		frappe.db.rollback()
		frappe.log_error(
			title=f"Reorder: {customer} could not be learned",
			reference_doctype="Customer",
			reference_name=customer,
		)
		work.problem(customer, f"{type(error).__name__}: {error}", _("See the Error Log"))
		return 0


def _show(work: Run) -> None:
	"""Progress for whoever has the settings open; nobody waits for it."""
	try:
		frappe.publish_progress(
			work.progress,
			title=_("Reading purchases"),
			doctype="Reorder Settings",
			docname="Reorder Settings",
			description=_("{0} of {1}").format(words.number(work.done), words.customers(work.total)),
		)
	except Exception:
		frappe.logger("crm_recharge").warning("progress was not shown", exc_info=True)


def _fit_next() -> None:
	try:
		frappe.enqueue(NIGHTLY, queue="long", timeout=3600, job_id="reorder_learn", deduplicate=True)
	except Exception:
		frappe.logger("crm_recharge").warning("the fit was not enqueued; tonight's will do", exc_info=True)


def _next_slice(reached: str) -> list[str]:
	"""Customers after `reached` that have documents or something learned, of about SLICE_INVOICES documents."""
	source = (
		"(SELECT `customer`, COUNT(*) AS n FROM `tab{0}` WHERE `customer` > %(reached)s"
		" GROUP BY `customer` ORDER BY `customer` LIMIT %(limit)s)"
	)
	rows = frappe.db.sql(
		"SELECT `customer`, SUM(n) FROM ("
		+ " UNION ALL ".join(source.format(doctype) for doctype in SOURCES)
		+ ") found GROUP BY `customer` ORDER BY `customer` LIMIT %(limit)s",
		{"reached": reached, "limit": SLICE_CUSTOMERS},
	)
	customers_, invoices = [], 0
	for customer, n in rows:
		if customers_ and invoices + n > SLICE_INVOICES:
			break
		customers_.append(customer)
		invoices += n
	return customers_


def _count() -> int:
	"""Customers to be read."""
	each = " UNION ".join(
		f"SELECT `customer` FROM `tab{doctype}` WHERE `customer` > ''" for doctype in SOURCES
	)
	# nosemgrep: frappe-sql-format-injection -- DocTypes are constants
	return frappe.db.sql(f"SELECT COUNT(*) FROM ({each}) found")[0][0]
