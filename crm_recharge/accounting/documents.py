"""What the documents of a recharge, a refund and a dispute say; vouchers.py makes ERPNext say it.

A recharge: a Sales Invoice to unearned revenue and the Payment Entry that pays it. A refund: a credit note against
that invoice and the Payment Entry that pays it out. What follows an invoice stands where the invoice stands: its
accounts, cost centre, dimensions and exchange rate, so that nothing is left behind on any of them.
"""

from datetime import datetime
from decimal import Decimal

from frappe import _
from frappe.model import no_value_fields
from frappe.utils import cint, get_datetime

from crm_recharge.accounting import general_ledger, invoiced, vouchers
from crm_recharge.accounting.books import Books, Payment
from crm_recharge.accounting.custom_fields import RECHARGE, REFUND
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.general_ledger import Lines
from crm_recharge.accounting.vouchers import Voucher
from crm_recharge.credits.money import exact, money
from crm_recharge.domain.voucher import Figures, Tax, contained, given_back, paid

ON = {
	"On Previous Row Amount": "amount",
	"On Previous Row Total": "total",
	"On Item Quantity": "quantity",
}
"""ERPNext's charge types but "On Net Total"."""

COUNTED = ("item_wise_tax_detail",)
"""What of a tax row follows from its amounts."""


# -- invoice and credit note -------------------------------------------------------------------------------


def make_invoice(payment: Payment, books: Books):
	"""Insert and submit the Sales Invoice. Raises AccountingError for an amount the site's books cannot hold."""
	invoiced.refuse_lost_decimals(payment.amount, payment.currency)
	voucher = _invoice_voucher(
		books, payment.customer, payment.settled_at, {RECHARGE: payment.recharge}, [*books.taxes], qty=1
	)
	voucher.head["remarks"] = _("Recharge {0}, payment {1}").format(payment.recharge, payment.intent)
	voucher.head |= {"is_return": 0, "return_against": None}
	voucher.figures = _figures(payment.amount, books)
	_price(voucher, payment.amount)
	return _submit_invoice(voucher, books)


def _figures(amount: Decimal, books: Books) -> Figures:
	places = general_ledger.places()
	taxes = [
		Tax(exact(row["rate"]), ON.get(row["charge_type"], "net"), cint(row.get("row_id")) - 1)
		for row in books.taxes
	]
	try:
		return paid(amount, contained(amount, taxes, places), books.rate, places)
	except ValueError:
		raise AccountingError(
			_("Taxes template {0} has more taxes than {1}. Choose another in CRM Recharge Settings.").format(
				books.taxes_template, money(amount, books.currency)
			)
		) from None


def make_credit_note(
	books: Books, invoice, amount: Decimal, taken: Figures, at: datetime, refund: str, remarks: str
):
	"""Insert and submit a return of `amount` of `invoice`; `taken` is what disputes have taken of it.

	Raises AccountingError when other credit notes have left less than that.
	"""
	invoiced.refuse_lost_decimals(amount, books.currency)
	left = invoiced.left_of(invoice, invoiced.figures_of(invoice)) - taken
	if amount > left.own.gross:
		raise AccountingError(
			_(
				"{0} was refunded, but credit notes and disputes have left {1} of Sales Invoice {2}. Cancel the credit"
				" note that was written for this refund by hand."
			).format(money(amount, books.currency), money(left.own.gross, books.currency), invoice.name)
		)
	figures = given_back(amount, left, general_ledger.places())
	taxes = [_tax_of(row, part) for row, part in zip(invoice.taxes, figures.own.taxes, strict=True)]
	at = max(at, get_datetime(f"{invoice.posting_date} {invoice.posting_time}"))
	voucher = _invoice_voucher(books, invoice.customer, at, {REFUND: refund}, taxes, qty=-1)
	voucher.head |= {
		"is_return": 1,
		"return_against": invoice.name,
		# Its own outstanding amount: the original is paid, and the payout is for this one.
		"update_outstanding_for_self": 1,
		"remarks": remarks,
	}
	voucher.figures = -figures
	inclusive = all(cint(row.included_in_print_rate) for row in invoice.taxes)
	_price(voucher, amount if inclusive else figures.own.net)
	# ERPNext counts what has been returned of an invoice's line in pieces, and a part is part of one piece.
	whole = amount == exact(invoice.grand_total)
	voucher.tables["items"][0]["sales_invoice_item"] = invoice.items[0].name if whole else None
	return _submit_invoice(voucher, books)


def _submit_invoice(voucher: Voucher, books: Books):
	"""The submitted document, after looking at what it has posted; its flags carry what it was meant to say."""
	doc = vouchers.submit(voucher)
	figures = doc.flags.figures = voucher.figures
	accounts = [books.unearned, *(row["account_head"] for row in voucher.tables["taxes"])]
	parts = zip(accounts, figures.base.parts, figures.own.parts, strict=True)
	_must_say(books, doc, _invoice_lines(books, books.receivable, parts))
	return doc


def _invoice_voucher(
	books: Books, customer: str, at: datetime, ours: dict, taxes: list[dict], qty: int
) -> Voucher:
	return Voucher(
		"Sales Invoice",
		{
			"customer": customer,
			"company": books.company,
			"set_posting_time": 1,
			"posting_date": at.date(),
			"posting_time": at.time(),
			"due_date": at.date(),
			"currency": books.currency,
			"conversion_rate": float(books.rate),
			"selling_price_list": books.price_list,
			"price_list_currency": books.price_list_currency,
			"plc_conversion_rate": books.price_list_rate,
			"debit_to": books.receivable,
			"party_account_currency": books.currency_of(books.receivable),
			"cost_center": books.cost_center,
			"taxes_and_charges": books.taxes_template,
			**ours,
		},
		{
			"items": [
				{
					"item_code": books.item,
					"qty": qty,
					"income_account": books.unearned,
					"cost_center": books.cost_center,
				}
			],
			"taxes": taxes,
		},
		books.dimensions,
		books.split,
		mode_of_payment=books.mode_of_payment,
	)


def _price(voucher: Voucher, rate: Decimal) -> None:
	voucher.tables["items"][0] |= {"rate": float(rate), "price_list_rate": float(rate)}


def _tax_of(row, part: Decimal) -> dict:
	"""A tax row of a credit note after that of the invoice: all it says, such as why a tax is none, but amounts."""
	copied = {
		df.fieldname: row.get(df.fieldname)
		for df in row.meta.fields
		if df.fieldtype not in (*no_value_fields, "Currency")
		and df.fieldname not in COUNTED
		and row.get(df.fieldname) is not None
	}
	actual = {"tax_amount": float(-part)} if row.charge_type == "Actual" else {}
	return copied | actual


# -- payments ----------------------------------------------------------------------------------------------


def make_payment(books: Books, invoice, reference: str, ours: dict):
	"""Insert and submit the Payment Entry that pays `invoice` into the clearing account, or a credit note out of it.

	`ours` are the fields that tie it to the recharge or refund.
	"""
	own, base = gross_of(invoice)
	back = own < 0
	on_customer = books.amount_on(books.receivable, base, own)
	on_clearing = abs(books.amount_on(books.clearing, base, own))
	rate = float(books.rate)
	customer = _side(books, books.receivable, abs(on_customer), rate)
	gateway = _side(books, books.clearing, on_clearing, rate)
	from_, to = (gateway, customer) if back else (customer, gateway)
	entry = vouchers.submit(
		Voucher(
			"Payment Entry",
			{
				"payment_type": "Pay" if back else "Receive",
				"company": books.company,
				"posting_date": invoice.posting_date,
				"mode_of_payment": books.mode_of_payment,
				"party_type": "Customer",
				"party": invoice.customer,
				"paid_from": from_["account"],
				"paid_from_account_currency": from_["currency"],
				"paid_amount": from_["amount"],
				"source_exchange_rate": from_["rate"],
				"paid_to": to["account"],
				"paid_to_account_currency": to["currency"],
				"received_amount": to["amount"],
				"target_exchange_rate": to["rate"],
				"reference_no": reference,
				"reference_date": invoice.posting_date,
				"cost_center": books.cost_center,
				**ours,
			},
			{
				"references": [
					{
						"reference_doctype": "Sales Invoice",
						"reference_name": invoice.name,
						"allocated_amount": float(on_customer),
					}
				]
			},
			books.dimensions,
			books.split,
			base=abs(base),
		)
	)
	_must_say(books, entry, _payment_lines(books, books.receivable, books.clearing, own, base))
	return entry


def _side(books: Books, account: str, amount: Decimal, rate: float) -> dict:
	currency = books.currency_of(account)
	return {
		"account": account,
		"currency": currency,
		"amount": float(amount),
		"rate": 1.0 if currency == books.company_currency else rate,
	}


def refuse_other_payment(entry, invoice) -> None:
	"""Raise AccountingError unless a Payment Entry that was found is submitted and pays `invoice`."""
	pays = any(
		row.reference_doctype == "Sales Invoice" and row.reference_name == invoice.name
		for row in entry.references
	)
	if entry.docstatus != 1 or not pays:
		raise AccountingError(
			_(
				"Payment Entry {0} carries this payment, and does not pay Sales Invoice {1}. Cancel or delete it."
			).format(entry.name, invoice.name)
		)


# -- journal entries ---------------------------------------------------------------------------------------


def make_journal_entry(books: Books, lines: Lines, on, reference: str, remark: str, ours: dict):
	"""Insert and submit the Journal Entry that posts `lines`; `ours` are the fields that tie it to the dispute."""
	entry = vouchers.submit(
		Voucher(
			"Journal Entry",
			{
				"company": books.company,
				"posting_date": on,
				"cheque_no": reference,
				"cheque_date": on,
				"multi_currency": int(
					any(books.currency_of(account) != books.company_currency for account in lines)
				),
				"user_remark": remark,
				**ours,
			},
			{
				"accounts": [
					{
						"account": account,
						"account_currency": books.currency_of(account),
						"cost_center": books.cost_center,
						**vouchers.amounts_of(line),
					}
					for account, line in lines.items()
				]
			},
			books.dimensions,
			books.split,
		)
	)
	_must_say(books, entry, lines)
	return entry


# -- what must stand in the general ledger -----------------------------------------------------------------


def check(books: Books, invoice, entry) -> None:
	"""Raise AccountingError unless the general ledger says of both documents what was paid, and nothing is left.

	Those made in this transaction have been looked at; of those found it must say what stands on their rows.
	"""
	own, base = gross_of(invoice)
	to = entry.paid_from if entry.payment_type == "Pay" else entry.paid_to
	if not invoice.flags.is_booked:
		_must_say(books, invoice, _invoice_lines(books, invoice.debit_to, _parts_of(invoice)))
	if not entry.flags.is_booked:
		_must_say(books, entry, _payment_lines(books, invoice.debit_to, to, own, base))
	general_ledger.must_be_paid(invoice, books.company_currency)


def _must_say(books: Books, doc, lines: Lines) -> None:
	general_ledger.must_say(doc, lines, books.company_currency)
	doc.flags.is_booked = True


def gross_of(invoice) -> tuple[Decimal, Decimal]:
	"""What an invoice or credit note is over, in its own currency and in the company's."""
	figures = invoice.flags.figures or invoiced.figures_of(invoice)
	return figures.own.gross, figures.base.gross


def _parts_of(invoice):
	"""Account, net or tax in the company's currency, and in the document's, of each row of a document found."""
	figures = invoiced.figures_of(invoice)
	for item in invoice.items:
		yield item.income_account, exact(item.base_net_amount), exact(item.net_amount)
	for row, base, own in zip(invoice.taxes, figures.base.taxes, figures.own.taxes, strict=True):
		yield row.account_head, base, own


def _invoice_lines(books: Books, receivable: str, parts) -> Lines:
	lines = Lines()
	for account, base, own in parts:
		lines.add(account, -base, -books.amount_on(account, base, own))
		lines.add(receivable, base, books.amount_on(receivable, base, own))
	return lines


def _payment_lines(books: Books, receivable: str, clearing: str, own: Decimal, base: Decimal) -> Lines:
	return (
		Lines()
		.add(clearing, base, books.amount_on(clearing, base, own))
		.add(receivable, -base, -books.amount_on(receivable, base, own))
	)
