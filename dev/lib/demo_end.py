"""The demo's end: the desk opens on the app's workspace, and the reader is told who may log in where.

Run by dev/demo, with --served where the desk is served afterwards:  python dev/lib/demo_end.py [--served]
"""

import sys

from demo import logins
from demo.stage import connect


def main():
	connect()
	logins.make_manager()
	logins.open_on_workspace()
	logins.tell(served="--served" in sys.argv)


if __name__ == "__main__":
	main()
