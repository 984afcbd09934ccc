"""A dispute in ERPNext's books: Journal Entries that keep up with what the bank has taken and what Stripe charged.

While the money is gone, the credits that were taken for it are no longer owed (Unearned Credits is debited) and
the rest is a loss; when it comes back, the same in reverse. When the dispute is lost, what the customer has used
and not paid becomes a loss as well, until a later recharge pays that debt. Each entry is the difference between
what must stand in the books and what stands there, so events may come in any order, and twice is once.
"""

from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import flt, now_datetime

from crm_recharge.accounting import posting, rows, takeback_rows
from crm_recharge.accounting.custom_fields import DISPUTE
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.rows import DONE, FAILED, NOT_NEEDED, PENDING
from crm_recharge.accounting.setup import company_settings, setup_company
from crm_recharge.credits.contention import retry_on_contention
from crm_recharge.credits.money import as_text, exact
from crm_recharge.domain.money import ZERO, exponent, plain
from crm_recharge.domain.takeback import LOST
from crm_recharge.intake import intake

DOCTYPE = "Recharge Dispute"
JOB = "account_for_dispute"
FUNDS, FEE = "funds", "fee"
LINK = {FUNDS: "journal_entry", FEE: "fee_entry"}


def account_for(name: str) -> str:
	"""Bring the books in line with a dispute. Returns the accounting status.

	Owns its transactions, so it must run on its own: as a job, or with nothing written before it.
	"""
	return takeback_rows.work(DOCTYPE, name, _post)


@frappe.whitelist(methods=["POST"])
@intake
def retry(name: str) -> str:
	"""A person asks to try again now. Returns the accounting status. For the roles of rows.ROLES."""
	return takeback_rows.retry(DOCTYPE, name, JOB)


def sweep_disputes() -> int:
	"""Queue what is due: disputes to be booked, and lost ones whose debt has been paid since. Returns how many."""
	paid_since = frappe.db.sql(
		"SELECT d.`name` FROM `tabRecharge Dispute` d JOIN `tabCredit Account` a ON a.`name` = d.`credit_account`"
		" WHERE d.`written_off` > 0 AND d.`accounting_status` = %s AND (SELECT SUM(o.`written_off`)"
		" FROM `tabRecharge Dispute` o WHERE o.`credit_account` = a.`name`) > GREATEST(-a.`balance`, 0) LIMIT %s",
		(DONE, takeback_rows.BATCH),
		pluck=True,
	)
	for name in paid_since:
		takeback_rows.write(DOCTYPE, name, accounting_status=PENDING)
	if paid_since:
		frappe.db.commit()
	return takeback_rows.enqueue_all(takeback_rows.due(DOCTYPE), JOB)


@retry_on_contention
def _post(name: str) -> str:
	row = read(name)
	if row.accounting_status not in (PENDING, FAILED):
		return row.accounting_status or ""
	recharge = rows.read(row.recharge)
	if recharge.accounting_status not in (DONE, NOT_NEEDED):
		return takeback_rows.wait(
			DOCTYPE, name, _("Waits for the invoice of recharge {0}.").format(row.recharge)
		)
	books = DisputeBooks(row, recharge) if recharge.accounting_status == DONE else None
	frappe.db.commit()

	row = read(name, lock=True)
	if row.accounting_status not in (PENDING, FAILED):
		frappe.db.rollback()
		return row.accounting_status or ""
	if books is None:
		takeback_rows.write(DOCTYPE, name, accounting_status=NOT_NEEDED)
		frappe.db.commit()
		return NOT_NEEDED
	written_off = debt_left_by(row)
	links = {}
	for kind, wanted in ((FUNDS, books.funds(row, written_off)), (FEE, books.fee(row))):
		if entry := books.book_difference(row, kind, wanted):
			links[LINK[kind]] = entry
	takeback_rows.write(DOCTYPE, name, accounting_status=DONE, written_off=str(written_off), **links)
	frappe.db.commit()
	return DONE


def read(name: str, lock: bool = False):
	"""The dispute's columns that matter here, amounts as Decimal. Raises DoesNotExistError."""
	money = ("amount", "taken", "withdrawn", "fees", "written_off")
	rows = frappe.db.sql(
		"SELECT `name`, `recharge`, `credit_account`, `customer`, `company`, `status`, `currency`, `balance_currency`,"
		f" `intent`, `accounting_status`, {as_text(*money)} FROM `tabRecharge Dispute`"
		f" WHERE `name` = %s{' FOR UPDATE' if lock else ''}",
		name,
		as_dict=True,
	)
	if not rows:
		raise frappe.DoesNotExistError(_("Recharge Dispute {0} does not exist.").format(name))
	rows[0].update({field: exact(rows[0][field]) for field in money})
	return rows[0]


def debt_left_by(row) -> Decimal:
	"""What of the account's debt this lost dispute has left behind, in the account's currency: nothing is written
	off twice, and what the customer has paid since is none."""
	if row.status != LOST:
		return ZERO
	balance, others = frappe.db.sql(
		"SELECT CAST(a.`balance` AS CHAR), (SELECT CAST(SUM(o.`written_off`) AS CHAR) FROM `tabRecharge Dispute` o"
		" WHERE o.`credit_account` = a.`name` AND o.`name` <> %s) FROM `tabCredit Account` a WHERE a.`name` = %s",
		(row.name, row.credit_account),
	)[0]
	return max(ZERO, min(row.taken, -exact(balance) - exact(others)))


class DisputeBooks:
	"""Accounts and rates of one dispute, looked up before anything is locked. Amounts in the company's currency."""

	def __init__(self, row, recharge):
		self.company = row.company
		self.company_currency = frappe.get_cached_value("Company", row.company, "default_currency")
		settings = company_settings(row.company)
		if not (settings.loss_account and settings.fee_account):
			setup_company(row.company)
			settings = company_settings(row.company)
		self.clearing, self.unearned = settings.clearing_account, settings.unearned_revenue_account
		self.loss, self.fee_account = settings.loss_account, settings.fee_account
		self.cost_center = settings.cost_center or frappe.get_cached_value(
			"Company", row.company, "cost_center"
		)
		invoice = frappe.db.get_value(
			"Sales Invoice",
			recharge.sales_invoice,
			["conversion_rate", "net_total", "grand_total"],
			as_dict=True,
		)
		self.currency, self.settled_intent = recharge.currency, recharge.settled_intent
		self.rate = exact(invoice.conversion_rate)
		self.net_share = exact(invoice.net_total) / exact(invoice.grand_total)
		self.balance_rate = self._rate(row.balance_currency)
		self.currencies = {
			account: frappe.get_cached_value("Account", account, "account_currency") or self.company_currency
			for account in (self.clearing, self.unearned, self.loss, self.fee_account)
		}
		for account, currency in self.currencies.items():
			if currency not in (self.company_currency, self.currency):
				raise AccountingError(
					_("{0} is in {1}. For a dispute in {2} it must be in {2} or {3}.").format(
						account, currency, self.currency, self.company_currency
					)
				)

	def _rate(self, currency: str | None) -> Decimal:
		if not currency or currency == self.currency:
			return self.rate
		return exact(posting.exchange_rate(currency, self.company_currency, now_datetime().date()))

	# -- what must stand in the books: account -> debit (+) or credit (−) ------------------------------------

	def funds(self, row, written_off: Decimal) -> dict[str, Decimal]:
		"""The disputed money itself. Nothing for a capture that bought nothing: it was never booked."""
		if row.intent != self.settled_intent:
			return {}
		gone = self._round(row.withdrawn * self.balance_rate)
		if not gone:
			return {}
		# As the invoice did: the net share to the liability, and taxes stay for the accountant to reclaim.
		owed_no_more = self._round((row.taken - written_off) * self.net_share * self.rate)
		owed_no_more = min(owed_no_more, gone)
		return {self.clearing: -gone, self.unearned: owed_no_more, self.loss: gone - owed_no_more}

	def fee(self, row) -> dict[str, Decimal]:
		"""What Stripe charged for the dispute."""
		fee = self._round(row.fees * self.balance_rate)
		return {self.clearing: -fee, self.fee_account: fee} if fee else {}

	def _round(self, amount: Decimal) -> Decimal:
		return round(amount, exponent(self.company_currency))

	# -- what stands there -----------------------------------------------------------------------------------

	def booked(self, row, kind: str) -> dict[str, Decimal]:
		"""Account -> debit less credit of the dispute's submitted entries of this kind."""
		rows = frappe.db.sql(
			"SELECT a.`account`, CAST(SUM(a.`debit` - a.`credit`) AS CHAR) FROM `tabJournal Entry` e"
			f" JOIN `tabJournal Entry Account` a ON a.`parent` = e.`name` WHERE e.`{DISPUTE}` = %s AND e.`docstatus` = 1"
			" AND e.`cheque_no` = %s GROUP BY a.`account`",
			(row.name, reference(row.name, kind)),
		)
		return {account: exact(amount) for account, amount in rows}

	def book_difference(self, row, kind: str, wanted: dict[str, Decimal]) -> str | None:
		"""Insert and submit the Journal Entry that makes `wanted` of what is booked. Returns its name, if any."""
		booked = self.booked(row, kind)
		difference = {
			account: amount
			for account in sorted({*wanted, *booked})
			if (amount := wanted.get(account, ZERO) - booked.get(account, ZERO))
		}
		return self._journal_entry(row, kind, difference).name if difference else None

	def _journal_entry(self, row, kind: str, lines: dict[str, Decimal]):
		today = now_datetime().date()
		entry = frappe.new_doc("Journal Entry")
		entry.update(
			{
				"voucher_type": "Journal Entry",
				"company": self.company,
				"posting_date": today,
				"cheque_no": reference(row.name, kind),
				"cheque_date": today,
				"multi_currency": int(
					any(self.currencies[account] != self.company_currency for account in lines)
				),
				"user_remark": self._remark(row, kind),
				DISPUTE: row.name,
			}
		)
		for account, amount in lines.items():
			entry.append("accounts", self._line(account, amount))
		entry.flags.ignore_permissions = True
		entry.insert()
		entry.submit()
		return entry

	def _line(self, account: str, amount: Decimal) -> dict:
		side = "debit" if amount > 0 else "credit"
		rate = self.rate if self.currencies[account] != self.company_currency else Decimal(1)
		return {
			"account": account,
			"account_currency": self.currencies[account],
			"exchange_rate": flt(rate),
			f"{side}_in_account_currency": flt(abs(amount) / rate, 2),
			side: flt(abs(amount)),
			"cost_center": self.cost_center,
		}

	def _remark(self, row, kind: str) -> str:
		text = _("Dispute {0} ({1}) of recharge {2}, payment {3}: {4} {5}, credits taken back {6}")
		if kind == FEE:
			text = _("Fee for dispute {0} ({1}) of recharge {2}, payment {3}")
		return text.format(
			row.name,
			_(row.status),
			row.recharge,
			row.intent,
			plain(row.amount),
			row.currency,
			plain(row.taken),
		)


def reference(name: str, kind: str) -> str:
	"""What a dispute's Journal Entry carries as its reference number."""
	return f"{name} {kind}"


def on_cancel(doc, method=None) -> None:
	"""Journal Entry, on_cancel: a person took it down; what comes next is a person's decision."""
	name = doc.get(DISPUTE)
	if not name:
		return
	kind = next((kind for kind in LINK if doc.cheque_no == reference(name, kind)), None)
	status = frappe.db.get_value(DOCTYPE, name, "accounting_status", for_update=True)
	if kind is None or status != DONE:
		return
	takeback_rows.write(
		DOCTYPE,
		name,
		accounting_status=FAILED,
		accounting_error=_(
			"{0} {1} was cancelled by {2}. Use Retry to have a new one written. Nothing happens by itself."
		).format(_("Journal Entry"), doc.name, frappe.session.user),
		**{LINK[kind]: None},
	)
