"""Texts for people that Frappe's own search for translatable strings passes by.

`babel_extractors.csv` says which files are read by what. After a change of texts:
`bench generate-pot-file --app crm_recharge`; setup/tests/test_translatable.py tells when that was forgotten.
"""

import io
import json
from collections.abc import Iterator

TITLES = ("label", "title", "chart_name", "dashboard_name")
"""What is shown of a number card, chart, dashboard, tile or sidebar, with those of its rows."""


def N_(text: str) -> str:
	"""`text` as it is, marked as one that is translated where it is shown: a label that is stored."""
	return text


def extract(fileobj, *args, **kwargs) -> Iterator[tuple]:
	"""What Babel asks of an extractor, for JSON files: titles, and what templates in them translate."""
	for text, is_title in _texts(json.load(fileobj)):
		if is_title:
			yield None, "_", text, []
		else:
			yield from _of_template(text, *args, **kwargs)


def _texts(value, key: str = "") -> Iterator[tuple[str, bool]]:
	if isinstance(value, dict):
		for inner, part in value.items():
			yield from _texts(part, inner)
	elif isinstance(value, list):
		for part in value:
			yield from _texts(part)
	elif isinstance(value, str) and (key in TITLES or "_(" in value):
		yield value, key in TITLES


def _of_template(text: str, *args, **kwargs) -> Iterator[tuple]:
	from frappe.gettext.extractors import html_template

	for _line, function, messages, comments in html_template.extract(
		io.BytesIO(text.encode()), *args, **kwargs
	):
		yield None, function, messages, comments
