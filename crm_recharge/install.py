"""What the app makes on a site. `uninstall.py` is its mirror image, and takes its lists from here.

An installation makes what is missing; an update does so, too, and brings up to date what nobody has edited. What
people have set stays: that is why nothing of this is a fixture, which Frappe writes anew at each migration.
"""

from crm_recharge.accounting import custom_fields as accounting_fields
from crm_recharge.accounting import setup as accounting
from crm_recharge.people import fields as people_fields
from crm_recharge.reorder import setup as reorder
from crm_recharge.reorder.answers import fields as answer_fields
from crm_recharge.reorder.consent import checkbox
from crm_recharge.reorder.learning import fields as learning_fields
from crm_recharge.reorder.privacy import fields as privacy_fields
from crm_recharge.setup import custom_fields as fields
from crm_recharge.setup import indexes, jobs, roles, settings, templates


def before_install() -> None:
	"""Before the DocTypes, whose permissions name the roles."""
	roles.make()


def before_migrate() -> None:
	"""As before an installation: a later version may have new roles."""
	roles.make()


def after_install() -> None:
	"""Runs once, in the installer's transaction; every part may run again."""
	_make()
	people_fields.after_migrate()
	accounting.after_install()
	reorder.after_install()


def after_migrate() -> None:
	"""Runs at every migration."""
	_make()
	people_fields.after_migrate()
	accounting.after_migrate()
	reorder.after_migrate()


def _make() -> None:
	fields.make(custom_fields())
	indexes.make(people_fields.INDEXES)
	templates.make()
	settings.keep_defaults()
	# The clock of a site that was just set up may have gone back by hours since Frappe's own jobs were made.
	jobs.keep_due()


def custom_fields() -> fields.Fields:
	"""All fields of the app on other apps' documents, as the rooms declare them."""
	together: fields.Fields = {}
	for declared in (
		people_fields.CUSTOM_FIELDS,
		accounting_fields.CUSTOM_FIELDS,
		checkbox.fields(),
		learning_fields.CUSTOM_FIELDS,
		privacy_fields.CUSTOM_FIELDS,
		answer_fields.CUSTOM_FIELDS,
	):
		for doctype, own in declared.items():
			together.setdefault(doctype, []).extend(own)
	return together
