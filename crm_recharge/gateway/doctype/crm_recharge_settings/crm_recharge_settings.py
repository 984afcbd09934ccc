from decimal import Decimal
from urllib.parse import urlsplit

import frappe
from frappe import _
from frappe.utils import validate_email_address

from crm_recharge.domain import money
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.threshold import Limits, check_setting
from crm_recharge.doors.guard import GuardedDocument

STRIPE_JS = "https://js.stripe.com/v3/"
LONGEST_TIMEOUT = 30
MOST_PRESETS = 10

# Field → how such a key begins, and what people call it.
KEYS = {
	"stripe_secret_key": (("sk_", "rk_"), "sk_ / rk_"),
	"stripe_publishable_key": (("pk_",), "pk_"),
	"stripe_webhook_secret": (("whsec_",), "whsec_"),
}
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
		self.check_keys()
		self.check_address()
		self.check_timeout()
		self.check_limits()
		self.check_defaults()
		self.preset_amounts = ", ".join(money.plain(amount) for amount in self.presets())
		self.check_recipients()
		self.check_companies()

	# -- Stripe --------------------------------------------------------------------------------------------

	def check_keys(self):
		for field, (prefixes, shown) in KEYS.items():
			key = (self.get(field) or "").strip()
			if not key or self.is_dummy_password(key):
				continue
			self.set(field, key)
			if not key.startswith(prefixes):
				frappe.throw(
					_(
						"{0} must begin with {1}. Copy it again from Stripe's dashboard, under Developers."
					).format(_(self.meta.get_label(field)), shown),
					title=_("Not a Stripe key"),
				)
		secret, publishable = self.secret_key(), self.stripe_publishable_key
		if secret and publishable and ("_live_" in secret) != ("_live_" in publishable):
			frappe.throw(
				_("One of the keys is for test mode and the other for live mode. Use the pair of one mode."),
				title=_("Keys do not match"),
			)

	def secret_key(self) -> str:
		"""The secret key as it will be after saving; one in site_config.json goes before it."""
		key = frappe.conf.get("crm_recharge_stripe_secret_key") or self.stripe_secret_key or ""
		if key and self.is_dummy_password(key):
			return self.get_password("stripe_secret_key", raise_exception=False) or ""
		return key

	def check_address(self):
		self.stripe_api_base = (self.stripe_api_base or "").strip().rstrip("/")
		if not self.stripe_api_base:
			return
		address = urlsplit(self.stripe_api_base)
		if address.scheme not in ("http", "https") or not address.hostname:
			frappe.throw(
				_(
					"API Address must be a web address such as http://127.0.0.1:8420. Leave it empty to use Stripe."
				),
				title=_("Not an address"),
			)
		if "_live_" in self.secret_key() or "_live_" in (self.stripe_publishable_key or ""):
			frappe.throw(
				_(
					"A live key is never sent to another address than Stripe's. Empty the API Address, or use test keys."
				),
				title=_("Live key refused"),
			)

	def check_timeout(self):
		if not 1 <= (self.stripe_timeout or 0) <= LONGEST_TIMEOUT:
			frappe.throw(
				_("Time-out must be between 1 and {0} seconds.").format(LONGEST_TIMEOUT), title=_("Time-out")
			)

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


def custom_address() -> str | None:
	"""The address used instead of Stripe's, when one is set for tests."""
	settings = frappe.get_cached_doc("CRM Recharge Settings")
	base = frappe.conf.get("crm_recharge_stripe_api_base") or settings.stripe_api_base or ""
	return base.rstrip("/") or None


def publishable_key() -> str | None:
	"""The key that a browser may know; `crm_recharge_stripe_publishable_key` in site_config.json goes before
	*CRM Recharge Settings*."""
	settings = frappe.get_cached_doc("CRM Recharge Settings")
	return frappe.conf.get("crm_recharge_stripe_publishable_key") or settings.stripe_publishable_key or None


def script_address() -> str:
	"""Where a browser loads Stripe.js from."""
	base = custom_address()
	return f"{base}/v3/" if base else STRIPE_JS


def is_live() -> bool:
	"""Whether the secret key moves real money."""
	key = frappe.conf.get("crm_recharge_stripe_secret_key") or frappe.get_cached_doc(
		"CRM Recharge Settings"
	).get_password("stripe_secret_key", raise_exception=False)
	return "_live_" in (key or "")


def dashboard_address(intent: str | None) -> str | None:
	"""A payment's page in Stripe's dashboard; none while another address stands in for Stripe."""
	if not intent or custom_address():
		return None
	return f"https://dashboard.stripe.com/{'' if is_live() else 'test/'}payments/{intent}"
