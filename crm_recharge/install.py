"""What the app makes on a site at install. `uninstall.py` is its mirror image."""

from crm_recharge.accounting import setup as accounting


def after_install() -> None:
	"""Runs once, in the installer's transaction; every part may run again."""
	accounting.after_install()


def after_migrate() -> None:
	"""Runs at every migration."""
	accounting.after_migrate()
