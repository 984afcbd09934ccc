"""Letting a machine ask, with answers by the class of the effect."""


def ask(machine, **replies):
	"""All that a machine asks for, and its result; `replies` by the name of the effect's class."""
	asked, reply = [], None
	try:
		while True:
			effect = machine.send(reply)
			asked.append(effect)
			reply = replies.get(type(effect).__name__)
	except StopIteration as end:
		return asked, end.value
