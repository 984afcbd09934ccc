"""The door matrix: everybody tries every door, with records of their own and of others.

	table.py     what is allowed: DocTypes, methods, reports, cards, charts, pages; the only place that says so
	people.py    who tries: every role, owners, portal users, visitors, and staff confined to one customer's records
	records.py   what they try it on: two customers with a record of every DocType, each marked with secrets
	doors.py     the ways in that Frappe gives to every DocType
	probes.py    the table × people × records × doors, as single requests with what is expected of each
	runner.py    sends a probe through Frappe's own request handling, and sees what it showed and changed
	found.py     what the app offers, looked up on the site, to compare with the table

See docs/security.md for how to add a line.
"""
