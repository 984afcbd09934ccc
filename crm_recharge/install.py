"""What the app makes on a site at install. `uninstall.py` is its mirror image."""

from crm_recharge.accounting import setup as accounting
from crm_recharge.reorder import setup as reorder
from crm_recharge.reorder.answers import fields as answer_fields


def after_install() -> None:
	"""Runs once, in the installer's transaction; every part may run again."""
	accounting.after_install()
	reorder.after_install()
	answer_fields.make_custom_fields()


def after_migrate() -> None:
	"""Runs at every migration."""
	accounting.after_migrate()
	reorder.after_migrate()
	answer_fields.make_custom_fields()
