"""What `bench migrate` does to a site on behalf of this app, but for its patches and tables."""

import frappe
from frappe.core.doctype.scheduled_job_type.scheduled_job_type import sync_jobs
from frappe.model.sync import sync_for
from frappe.modules.utils import sync_customizations
from frappe.utils.dashboard import sync_dashboards
from frappe.utils.fixtures import sync_fixtures

from crm_recharge import install

APP = "crm_recharge"


def migrate() -> None:
	"""In the order of frappe.migrate. Commits."""
	install.before_migrate()
	sync_for(APP)
	sync_jobs()
	sync_fixtures(APP)
	sync_dashboards(APP)
	sync_customizations(APP)
	frappe.get_single("Portal Settings").sync_menu()
	install.after_migrate()
	frappe.db.commit()
	frappe.clear_cache()
