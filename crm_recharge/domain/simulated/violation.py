"""How a broken rule is told."""


class Violation(Exception):
	"""A rule is broken; `rule` is its short name."""

	def __init__(self, rule: str, text: str):
		self.rule = rule
		super().__init__(f"{rule}: {text}")


def must(holds: object, rule: str, text: object) -> None:
	"""Raise Violation unless `holds`."""
	if not holds:
		raise Violation(rule, str(text))
