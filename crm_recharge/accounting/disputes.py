"""A dispute in ERPNext's books: Journal Entries that keep up with what the bank has taken and what the gateway charged.

While the money is gone, the credits that were taken for it are no longer owed (Unearned Credits is debited) and
the rest is a loss; when it comes back, the same in reverse. When the dispute is lost, what the customer has used
and not paid becomes a loss as well, until a later recharge pays that debt. Each entry is the difference between
what must stand in the books and what stands there, so events may come in any order, and twice is once.
"""

from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import get_datetime, now_datetime

from crm_recharge import transactions
from crm_recharge.accounting import documents, general_ledger, invoiced, lookup, rows, takeback_rows
from crm_recharge.accounting.books import Books, books_of
from crm_recharge.accounting.custom_fields import DISPUTE
from crm_recharge.accounting.general_ledger import Line, Lines
from crm_recharge.accounting.rows import DONE, FAILED, NOT_NEEDED, PENDING
from crm_recharge.accounting.setup import company_settings, setup_company
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.money import as_text, exact, money
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.takeback import ACCOUNT_FOR_DISPUTE, LOST
from crm_recharge.domain.voucher import Amounts, Figures, no_longer_owed, rounded, share_out
from crm_recharge.intake import intake
from crm_recharge.outbox.attempt import attempt

DOCTYPE = "Recharge Dispute"
JOB = ACCOUNT_FOR_DISPUTE
FUNDS, FEE = "funds", "fee"
LINK = {FUNDS: "journal_entry", FEE: "fee_entry"}


def account_for(name: str) -> str:
	"""Bring the books in line with a dispute. Returns the accounting status.

	Owns its transactions, so it must run on its own: as a job, or with nothing written before it.
	"""
	with rows.acting_as("Administrator"):
		return attempt(JOB, name, _post)


@frappe.whitelist(methods=["POST"])
@intake
def retry(name: str) -> str:
	"""A person asks to try again now. Returns the accounting status. For the roles of rows.ROLES."""
	return takeback_rows.retry(DOCTYPE, name, JOB)


def paid_since() -> list[str]:
	"""Lost disputes whose debt has been paid since."""
	return frappe.db.sql(
		"SELECT d.`name` FROM `tabRecharge Dispute` d JOIN `tabCredit Account` a ON a.`name` = d.`credit_account`"
		" WHERE d.`written_off` > 0 AND d.`accounting_status` = %s AND (SELECT SUM(o.`written_off`)"
		" FROM `tabRecharge Dispute` o WHERE o.`credit_account` = a.`name`) > GREATEST(-a.`balance`, 0) LIMIT %s",
		(DONE, takeback_rows.BATCH),
		pluck=True,
	)


def account_for_paid_debt(name: str) -> str:
	"""As `account_for`, for a lost dispute that was booked while the customer owed more."""
	if frappe.db.get_value(DOCTYPE, name, "accounting_status", for_update=True) == DONE:
		takeback_rows.write(DOCTYPE, name, accounting_status=PENDING)
	transactions.commit()
	return account_for(name)


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
	transactions.commit()

	row = read(name, lock=True)
	if row.accounting_status not in (PENDING, FAILED):
		frappe.db.rollback()
		return row.accounting_status or ""
	if books is None:
		takeback_rows.write(DOCTYPE, name, accounting_status=NOT_NEEDED)
		transactions.commit()
		return NOT_NEEDED
	written_off = debt_left_by(row)
	links = {}
	for kind, wanted in ((FUNDS, books.funds(row, written_off)), (FEE, books.fee(row))):
		if entry := books.book_difference(row, kind, wanted):
			links[LINK[kind]] = entry
		elif not row[LINK[kind]]:
			# Amended by a person, and as it should be.
			links[LINK[kind]] = _standing(name, kind)
	takeback_rows.write(DOCTYPE, name, accounting_status=DONE, written_off=str(written_off), **links)
	transactions.commit()
	return DONE


def _standing(name: str, kind: str) -> str | None:
	"""The last Journal Entry of this kind that stands."""
	wanted = {DISPUTE: name, "cheque_no": reference(name, kind), "docstatus": 1}
	return frappe.db.get_value("Journal Entry", wanted, order_by="creation desc")


def read(name: str, lock: bool = False):
	"""The dispute's columns that matter here, amounts as Decimal. Raises DoesNotExistError."""
	amounts = ("amount", "taken", "withdrawn", "fees", "written_off")
	rows = frappe.db.sql(
		"SELECT `name`, `recharge`, `credit_account`, `customer`, `company`, `status`, `currency`, `balance_currency`,"
		f" `opened_at`, `intent`, `accounting_status`, `journal_entry`, `fee_entry`, {as_text(*amounts)} FROM `tabRecharge Dispute`"
		f" WHERE `name` = %s{' FOR UPDATE' if lock else ''}",
		name,
		as_dict=True,
	)
	if not rows:
		raise frappe.DoesNotExistError(_("Recharge Dispute {0} does not exist.").format(name))
	rows[0].update({field: exact(rows[0][field]) for field in amounts})
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


def taken_of(recharge: str, invoice: Figures, books: Books, but: str = "") -> Figures:
	"""What the disputes of a recharge, `but` one, have taken of its invoice. Their share of the taxes is theirs in
	name alone: an accountant reclaims it."""
	rows = frappe.db.sql(
		"SELECT `name`, CAST(`taken` - `written_off` AS CHAR) FROM `tabRecharge Dispute` WHERE `recharge` = %s"
		" AND `name` <> %s",
		(recharge, but),
	)
	return sum((_taken_by(name, exact(credits), invoice, books) for name, credits in rows), Figures())


def _taken_by(dispute: str, credits: Decimal, invoice: Figures, books: Books) -> Figures:
	places = general_ledger.places()
	standing = general_ledger.of_journal_entries(DISPUTE, dispute, reference(dispute, FUNDS))
	base_net = standing.get(books.unearned, Line()).base
	if not base_net:
		return Figures()

	def with_taxes(net: Decimal, gross: Decimal, all_taxes: tuple[Decimal, ...]) -> Amounts:
		taxes = share_out(max(gross - net, ZERO), all_taxes, places) if all_taxes else ()
		return Amounts(net, tuple(taxes))

	return Figures(
		with_taxes(rounded(base_net / books.rate, places), credits, invoice.own.taxes),
		with_taxes(base_net, rounded(credits * books.rate, places), invoice.base.taxes),
	)


class DisputeBooks:
	"""Accounts and rates of one dispute, looked up before anything is locked."""

	def __init__(self, row, recharge):
		settings = company_settings(row.company)
		if not (settings.loss_account and settings.fee_account):
			setup_company(row.company)
			settings = company_settings(row.company)
		self.loss, self.fee_account = settings.loss_account, settings.fee_account
		self.invoice = frappe.get_doc("Sales Invoice", recharge.sales_invoice)
		self.books = books_of(self.invoice, recharge)
		# The customer's own account is not touched: a frozen customer is no hindrance.
		lookup.refuse_frozen_accounts([self.books.clearing, self.books.unearned, self.loss, self.fee_account])
		self.settled_intent = recharge.settled_intent
		self.balance_currency = row.balance_currency or self.books.currency
		self.balance_rate = self._rate(row)
		self.places = general_ledger.places()
		for account in (self.books.clearing, self.books.unearned, self.loss, self.fee_account):
			lookup.check_currency(_("Account"), account, self.books.company_currency, self.books.currency)

	def _rate(self, row) -> Decimal:
		"""That of the day the bank took the money: on another day the same money must not be worth anything else."""
		if self.balance_currency == self.books.currency:
			return self.books.rate
		day = get_datetime(row.opened_at or now_datetime()).date()
		return lookup.exchange_rate(self.balance_currency, self.books.company_currency, day)

	# -- what must stand in the books: account -> debit (+) or credit (−) ------------------------------------

	def funds(self, row, written_off: Decimal) -> Lines:
		"""The disputed money itself. Nothing for a capture that bought nothing: it was never booked."""
		gone = self._in_base(row.withdrawn)
		if row.intent != self.settled_intent or not gone:
			return Lines()
		owed_no_more = min(self._owed_no_more(row, row.taken - written_off), gone)
		lines = Lines().add(self.books.clearing, -gone, -self._own(self.books.clearing, gone, row.withdrawn))
		for account, base in ((self.books.unearned, owed_no_more), (self.loss, gone - owed_no_more)):
			lines.add(account, base, self._own(account, base))
		return lines

	def fee(self, row) -> Lines:
		"""What the gateway charged for the dispute."""
		fee = self._in_base(row.fees)
		lines = Lines().add(self.books.clearing, -fee, -self._own(self.books.clearing, fee, row.fees))
		return lines.add(self.fee_account, fee, self._own(self.fee_account, fee, row.fees))

	def _owed_no_more(self, row, credits: Decimal) -> Decimal:
		# As the invoice did: the net share to the liability, and taxes stay for the accountant to reclaim.
		figures = invoiced.figures_of(self.invoice)
		others = figures - invoiced.left_of(self.invoice, figures)
		others += taken_of(row.recharge, figures, self.books, but=row.name)
		return no_longer_owed(credits, figures, others, self.places) if credits > 0 else ZERO

	def _in_base(self, amount: Decimal) -> Decimal:
		"""An amount of the gateway's balance in the company's currency."""
		return rounded(amount * self.balance_rate, self.places)

	def _own(self, account: str, base: Decimal, balance: Decimal | None = None) -> Decimal:
		"""What `account` shows of `base`: exactly what the gateway's balance lost, where it is kept in that currency."""
		currency = self.books.currency_of(account)
		if currency == self.books.company_currency:
			return base
		if balance is not None and currency == self.balance_currency:
			return rounded(balance, self.places)
		return rounded(base / self.books.rate, self.places)

	# -- what stands there -----------------------------------------------------------------------------------

	def book_difference(self, row, kind: str, wanted: Lines) -> str | None:
		"""Insert and submit the Journal Entry that makes `wanted` of what is booked. Returns its name, if any.

		What is below the smallest amount the books hold is no difference.
		"""
		booked = general_ledger.of_journal_entries(DISPUTE, row.name, reference(row.name, kind))
		difference = Lines()
		for account in [*wanted, *(account for account in booked if account not in wanted)]:
			line = wanted.get(account, Line()) - booked.get(account, Line())
			if line.base:
				difference[account] = line
		if not difference:
			return None
		today = now_datetime().date()
		entry = documents.make_journal_entry(
			self.books,
			difference,
			today,
			reference(row.name, kind),
			self._remark(row, kind),
			{DISPUTE: row.name},
		)
		return entry.name

	def _remark(self, row, kind: str) -> str:
		text = _("Dispute {0} ({1}) of recharge {2}, payment {3}: {4}, credits taken back {5}")
		if kind == FEE:
			text = _("Fee for dispute {0} ({1}) of recharge {2}, payment {3}")
		return text.format(
			row.name,
			_(row.status),
			row.recharge,
			row.intent,
			money(row.amount, row.currency),
			money(row.taken, self.books.currency),
		)


def reference(name: str, kind: str) -> str:
	"""What a dispute's Journal Entry carries as its reference number."""
	return f"{name} {kind}"


def on_cancel(doc, method=None) -> None:
	"""Journal Entry, on_cancel: a person took it down; what comes next is a person's decision."""
	name = doc.get(DISPUTE)
	if not name:
		return
	kind = _kind_of(doc)
	status = frappe.db.get_value(DOCTYPE, name, "accounting_status", for_update=True)
	if kind is None or status != DONE:
		return
	takeback_rows.write(
		DOCTYPE,
		name,
		accounting_status=FAILED,
		accounting_error=_(
			"{0} {1} was cancelled by {2}. Amend it, or use Retry to have a new one written. Nothing happens by itself."
		).format(_("Journal Entry"), doc.name, frappe.session.user),
		**{LINK[kind]: None},
	)


def on_submit(doc, method=None) -> None:
	"""Journal Entry, on_submit: an amended one takes the place of the cancelled one."""
	if doc.get(DISPUTE) and doc.get("amended_from") and (kind := _kind_of(doc)):
		takeback_rows.amended(DOCTYPE, doc.get(DISPUTE), JOB, **{LINK[kind]: doc.name})


def _kind_of(entry) -> str | None:
	"""Which of a dispute's entries it is, by the reference number it carries."""
	return next((kind for kind in LINK if entry.cheque_no == reference(entry.get(DISPUTE), kind)), None)
