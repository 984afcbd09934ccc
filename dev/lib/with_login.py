"""Run a bench command that needs the database's admin login, without the password in the process list.

Usage: python with_login.py LOGIN_FILE COMMAND [ARGUMENT...]     (from a bench's sites folder)
"""

import configparser
import runpy
import sys


def main():
	login = configparser.ConfigParser(interpolation=None)
	login.read(sys.argv[1])
	client = login["client"]
	sys.argv = [
		"bench",
		"frappe",
		*sys.argv[2:],
		"--db-root-username",
		client["user"],
		"--db-root-password",
		client["password"],
	]
	runpy.run_module("frappe.utils.bench_helper", run_name="__main__")


if __name__ == "__main__":
	main()
