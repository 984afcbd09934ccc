"""The demo's end: the desk opens on the app's workspace, and the reader is told who may log in where.

Run by dev/demo where the desk is served afterwards:  python dev/lib/demo_end.py
"""

from demo import logins
from demo.stage import connect


def main():
	connect()
	logins.open_on_workspace()
	logins.tell()


if __name__ == "__main__":
	main()
