"""The command; see domain/simulated/command.py."""

import sys

from crm_recharge.domain.simulated.command import main

if __name__ == "__main__":
	sys.exit(main())
