from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import validate_email_address

from crm_recharge.domain import money
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.threshold import Limits, check_setting
from crm_recharge.doors.guard import GuardedDocument
from crm_recharge.gateway import registry

MOST_PRESETS = 10

COMPANY_LINKS = (
	"unearned_revenue_account",
	"clearing_account",
	"fee_account",
	"loss_account",
	"taxes_template",
	"cost_center",
)


class CRMRechargeSettings(GuardedDocument):
	def validate(self):
		self.check_gateway()
		self.check_limits()
		self.check_defaults()
		self.preset_amounts = ", ".join(money.plain(amount) for amount in self.presets())
		self.check_recipients()
		self.check_companies()

	# -- the gateway ---------------------------------------------------------------------------------------

	def check_gateway(self):
		known = registry.names()
		self.gateway = self.gateway or registry.DEFAULT
		if self.gateway not in known:
			frappe.throw(
				_("Gateway must be one of {0}.").format(", ".join(known)), title=_("No Such Gateway")
			)
		for name in known:
			registry.adapter(name).check_settings(self)

	# -- amounts -------------------------------------------------------------------------------------------

	def limits(self) -> Limits:
		"""Smallest and largest amount of one payment, as set here."""
		usual = Limits()
		return Limits(
			usual.minimum if self.minimum_payment is None else _decimal(self.minimum_payment),
			usual.maximum if self.maximum_payment is None else _decimal(self.maximum_payment),
		)

	def check_limits(self):
		limits = self.limits()
		if limits.minimum <= 0:
			frappe.throw(_("Minimum Payment must be above zero."), title=_("Payment limits"))
		if limits.minimum >= limits.maximum:
			frappe.throw(
				_("Minimum Payment ({0}) must be below Maximum Payment ({1}).").format(
					money.plain(limits.minimum), money.plain(limits.maximum)
				),
				title=_("Payment limits"),
			)

	def check_defaults(self):
		falls_below, up_to = _decimal(self.default_falls_below), _decimal(self.default_recharge_up_to)
		try:
			check_setting(falls_below, up_to, "", self.limits())
		except InvalidRequest:
			frappe.throw(
				_(
					"Default Recharge Up To ({0}) must be above Default Falls Below ({1}) by at least the Minimum Payment, and not above the Maximum Payment."
				).format(money.plain(up_to), money.plain(falls_below)),
				title=_("Defaults"),
			)

	def presets(self) -> list[Decimal]:
		"""The usual amounts, smallest first. Raises frappe.ValidationError naming one that cannot be paid."""
		limits, found = self.limits(), []
		for text in filter(None, (part.strip() for part in (self.preset_amounts or "").split(","))):
			try:
				amount = money.parse_positive(text)
			except InvalidRequest:
				frappe.throw(
					_(
						"Preset Amounts: {0} is not an amount. Give numbers separated by commas, such as 25, 50, 100."
					).format(frappe.utils.escape_html(text)),
					title=_("Preset Amounts"),
				)
			if not limits.minimum <= amount <= limits.maximum:
				frappe.throw(
					_("Preset Amounts: {0} is outside the limits of one payment, {1} to {2}.").format(
						money.plain(amount), money.plain(limits.minimum), money.plain(limits.maximum)
					),
					title=_("Preset Amounts"),
				)
			if amount not in found:
				found.append(amount)
		if len(found) > MOST_PRESETS:
			frappe.throw(
				_("Preset Amounts: at most {0} can be offered.").format(MOST_PRESETS),
				title=_("Preset Amounts"),
			)
		return sorted(found)

	# -- people and companies ------------------------------------------------------------------------------

	def check_recipients(self):
		addresses = (self.admin_recipients or "").replace(",", "\n").replace(";", "\n").split()
		for address in addresses:
			if not validate_email_address(address):
				frappe.throw(
					_("Admin Recipients: {0} is not an e-mail address. Put one on each line.").format(
						frappe.utils.escape_html(address)
					),
					title=_("Admin Recipients"),
				)
		self.admin_recipients = "\n".join(dict.fromkeys(addresses))

	def check_companies(self):
		seen = {}
		for row in self.companies:
			if row.company in seen:
				frappe.throw(
					_("Companies, row {0}: {1} is already in row {2}. Keep one row a company.").format(
						row.idx, row.company, seen[row.company]
					),
					title=_("Company twice"),
				)
			seen[row.company] = row.idx
			self.check_company_links(row)

	def check_company_links(self, row):
		for field in COMPANY_LINKS:
			if not row.get(field):
				continue
			owner = frappe.db.get_value(row.meta.get_field(field).options, row.get(field), "company")
			if owner != row.company:
				frappe.throw(
					_("Companies, row {0}: {1} {2} belongs to {3}, not to {4}.").format(
						row.idx, _(row.meta.get_label(field)), row.get(field), owner, row.company
					),
					title=_("Account of another company"),
				)


def _decimal(value) -> Decimal:
	return money.parse(value or 0)
