"""The web application of one site, for gunicorn: Frappe's own, with this checkout's assets.

CRM_RECHARGE_SITE names the site, which answers under any host name; the bench's own asset link may point to another
checkout and stays as it is.
"""

import os
from pathlib import Path

import frappe.app
from frappe.middlewares import StaticDataMiddleware
from werkzeug.middleware.shared_data import SharedDataMiddleware

import crm_recharge

frappe.app._site = os.environ["CRM_RECHARGE_SITE"]
frappe.app._sites_path = "."

application = SharedDataMiddleware(
	StaticDataMiddleware(frappe.app.application, {"/files": os.path.abspath(".")}),
	{
		"/assets/crm_recharge": str(Path(crm_recharge.__file__).parent / "public"),
		"/assets": os.path.abspath("assets"),
	},
	cache=False,
)
