"""Every method of this app that a request can call, found by looking everywhere."""

import importlib
import pkgutil

import frappe

import crm_recharge


def public_methods() -> dict[str, object]:
	"""Dotted path → function, for all whitelisted functions of the app. Methods of documents are in
	`methods_of_documents`."""
	return {path: function for path, function in _whitelisted() if path.count(".") == _depth(function)}


def methods_of_documents() -> dict[str, object]:
	"""Dotted path → function, for all whitelisted methods of this app's DocTypes."""
	return {path: function for path, function in _whitelisted() if path.count(".") != _depth(function)}


def intake_of(function):
	"""The intake below `frappe.whitelist`, or None where there is none."""
	while function is not None and not hasattr(function, "parameters"):
		function = getattr(function, "__wrapped__", None)
	return function


def _whitelisted() -> list[tuple]:
	for name in _modules():
		importlib.import_module(name)
	return [
		(f"{function.__module__}.{function.__qualname__}", function)
		for function in frappe.whitelisted
		if function.__module__.startswith("crm_recharge.")
	]


def _depth(function) -> int:
	return function.__module__.count(".") + 1


def _modules() -> list[str]:
	return [
		module.name
		for module in pkgutil.walk_packages(crm_recharge.__path__, "crm_recharge.", onerror=lambda name: None)
		if ".tests" not in module.name and ".test_" not in module.name
	]
