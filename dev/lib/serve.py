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

try:
	from frappe.config import clear_site_config_cache
except ImportError:  # Frappe 15 reads the site's configuration at each request

	def clear_site_config_cache():
		"""Nothing is kept."""


def frappe_application(environ, start_response):
	"""Frappe's own, with the site's configuration as it is now: Frappe 16 would keep it for a minute."""
	clear_site_config_cache()
	return frappe.app.application(environ, start_response)


application = SharedDataMiddleware(
	StaticDataMiddleware(frappe_application, {"/files": os.path.abspath(".")}),
	{
		"/assets/crm_recharge": str(Path(crm_recharge.__file__).parent / "public"),
		"/assets": os.path.abspath("assets"),
	},
	cache=False,
)
