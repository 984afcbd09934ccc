"""What dev/up does inside a site: set-up wizard, settings, and a fingerprint of what the site was built from.

Usage, from a bench's sites folder:  python bench_site.py COMMAND [SITE [PURPOSE]]
"""

import hashlib
import json
import subprocess
import sys
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from pathlib import Path

import frappe
import frappe.utils
from frappe.installer import update_site_config
from frappe.utils.scheduler import enable_scheduler

import crm_recharge

# Files that change what `migrate` does; code that is only imported is not among them.
SCHEMA_FILES = (
	"**/*.json",
	"**/*.txt",
	"hooks.py",
	"*install.py",
	"**/setup.py",
	"**/*fields.py",
	"**/checkbox.py",
	"setup/**/*.py",
	"patches/**/*.py",
	"**/constants*.py",
)

COMPANY = {
	"company_name": "Acme Cloud",
	"company_abbr": "AC",
	"country": "United States",
	"currency": "USD",
	"timezone": "America/New_York",
	"language": "English",
	"chart_of_accounts": "Standard",
	"industry": "Services",
	"company_tagline": "Prepaid services",
	"full_name": "Alex Morgan",
	"email": "alex@acme-cloud.example",
	"password": "acme-cloud-Alex-1",
	"setup_demo": 0,
}


@contextmanager
def connected(site):
	"""Open the site as Administrator; nothing is committed by itself."""
	frappe.init(site=site, sites_path=".")
	frappe.connect()
	try:
		yield
	finally:
		frappe.destroy()


def alive(site):
	"""Fail unless the site's database answers and has ERPNext."""
	with connected(site):
		if "erpnext" not in frappe.get_installed_apps():
			sys.exit(f"{site} does not have ERPNext")


def wizard(site):
	"""Complete the set-up wizard for a company in the United States, with this year's fiscal year."""
	from frappe.desk.page.setup_wizard.setup_wizard import setup_complete

	year = date.today().year
	with connected(site):
		result = setup_complete({**COMPANY, "fy_start_date": f"{year}-01-01", "fy_end_date": f"{year}-12-31"})
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()
		if not frappe.db.exists("Company", COMPANY["company_name"]):
			sys.exit(f"the set-up wizard made no company: {result}")


def configure(site, purpose):
	"""Settings of the site: a test site may run tests, any other has its scheduler on; no developer mode."""
	with connected(site):
		if purpose != "test":
			enable_scheduler()
			# nosemgrep: frappe-manual-commit -- a script: nothing else commits
			frappe.db.commit()
		update_site_config("developer_mode", 0, validate=False)
		update_site_config("allow_tests", purpose == "test", validate=False)
		update_site_config(
			"host_name", f"http://127.0.0.1:{frappe.conf.webserver_port or 8000}", validate=False
		)


def set_host(site, address):
	"""Set the address under which this machine itself reaches the site (PDFs and links use it).

	Returns the address that was set before.
	"""
	frappe.init(site=site, sites_path=".")
	before = frappe.conf.host_name
	update_site_config("host_name", address, validate=False)
	frappe.destroy()
	return before


def database(site):
	"""Print the name of the site's database."""
	frappe.init(site=site, sites_path=".")
	print(frappe.conf.db_name)


def stamp_of(app):
	"""Return an app's version and, where it is a clone, its commit."""
	folder = frappe.get_app_source_path(app)
	command = ["git", "-c", "safe.directory=*", "-C", folder, "rev-parse", "HEAD"]
	try:
		# nosemgrep: frappe-subprocess-exec -- git, a list
		commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
	except FileNotFoundError:
		commit = ""
	return [app, import_module(app).__version__, commit]


def base():
	"""Print a hash of what a site is made from before this app is on it."""
	made_from = [stamp_of("frappe"), stamp_of("erpnext"), COMPANY]
	print(hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16])


def fingerprint(site):
	"""Print a hash that changes when the site needs migrating: this app's schema, the other apps' versions."""
	digest = hashlib.sha256()
	root = Path(crm_recharge.__file__).parent
	for path in sorted({path for pattern in SCHEMA_FILES for path in root.glob(pattern)}):
		inside = path.relative_to(root)
		if "tests" not in inside.parts and "public" not in inside.parts:
			digest.update(f"{inside}\0".encode())
			digest.update(path.read_bytes())
	with connected(site):
		others = [app for app in frappe.get_installed_apps() if app != "crm_recharge"]
	digest.update(json.dumps([stamp_of(app) for app in others]).encode())
	print(digest.hexdigest())


if __name__ == "__main__":
	{f.__name__: f for f in (alive, base, configure, database, fingerprint, wizard)}[sys.argv[1]](
		*sys.argv[2:]
	)
