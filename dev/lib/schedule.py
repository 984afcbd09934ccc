"""A scheduler for one site alone: Frappe's `bench schedule` would start the jobs of every site of the bench.

Usage, from a bench's sites folder:  python schedule.py SITE
"""

import sys
import time

from frappe.utils.scheduler import enqueue_events_for_site

SECONDS_BETWEEN_LOOKS = 30


def main():
	while True:
		enqueue_events_for_site(sys.argv[1])
		time.sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
	main()
