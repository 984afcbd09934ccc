"""What this room makes on a site at install and at every migration; safe to run again."""

from crm_recharge.reorder.consent import checkbox, preferences
from crm_recharge.reorder.learning import history


def after_install() -> None:
	"""Where there are invoices already, reading them begins. Fields and settings are there by now."""
	# Not a person's to edit: what is kept as agreed to is what was shown.
	checkbox.show_wording(preferences.wording())
	history.begin_once()


def after_migrate() -> None:
	"""As at install: a later version may have new settings."""
	after_install()
