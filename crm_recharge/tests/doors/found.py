"""What the app offers, as the site and the code have it: to be compared with the table."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import frappe

import crm_recharge

APP = "crm_recharge"


def modules() -> list[str]:
	"""The app's modules, as DocTypes, reports and cards name them."""
	return frappe.get_all("Module Def", {"app_name": APP}, pluck="name")


def _whitelisted() -> list:
	for module in pkgutil.walk_packages(crm_recharge.__path__, f"{APP}."):
		if ".tests" not in module.name and ".test_" not in module.name and "-" not in module.name:
			importlib.import_module(module.name)
	return [function for function in frappe.whitelisted if function.__module__.startswith(f"{APP}.")]


def methods() -> dict[str, object]:
	"""Every method that can be called by its path, without the app's name: api.credits.charge."""
	return {
		f"{f.__module__.removeprefix(f'{APP}.')}.{f.__qualname__}": f
		for f in _whitelisted()
		if "." not in f.__qualname__
	}


def document_methods() -> set[str]:
	"""Every method of a document: Reorder Preference.record_consent; of all of the app's: *.rename."""
	found = set()
	for doctype in doctypes():
		controller = frappe.model.base_document.get_controller(doctype)
		for name, function in inspect.getmembers(controller, inspect.isfunction):
			if function in frappe.whitelisted and function.__module__.startswith(f"{APP}."):
				own = ".doctype." in function.__module__
				found.add(f"{doctype if own else '*'}.{name}")
	return found


def doctypes() -> list[str]:
	"""Every DocType of the app, Singles and rows too."""
	return frappe.get_all("DocType", {"module": ["in", modules()], "custom": 0}, pluck="name")


def named(doctype: str) -> set[str]:
	"""Reports, cards, charts and whatever else belongs to a module of the app."""
	return set(frappe.get_all(doctype, {"module": ["in", modules()]}, pluck="name"))


def pages() -> set[str]:
	"""The pages of the app on the website."""
	www = Path(crm_recharge.__file__).parent / "www"
	return {
		str(path.relative_to(www).with_suffix(""))
		for path in www.rglob("*")
		if path.suffix in (".html", ".md")
	}
