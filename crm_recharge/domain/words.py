"""Counts in words: "1 day", "2 days"."""


def counted(number: int | float, one: str, many: str, shown: str | None = None) -> str:
	"""`one` where it is exactly one, else `many` with the number in place of {0}.

	Args:
		one, many: whole texts, translated; other placeholders are filled in before.
		shown: the number as people read it, where that is not its digits.
	"""
	return one if number == 1 else many.replace("{0}", str(number) if shown is None else shown)
