"""Install what the app and its tests need into the Python that runs this file (the bench's environment).

Usage: python dependencies.py CHECKOUT APP_FOLDER

The requirements are read from CHECKOUT/pyproject.toml. The app itself is installed in place from APP_FOLDER only
when this Python does not know it yet: an installation somebody made stays as it is.
"""

import subprocess
import sys
from pathlib import Path


def requirements(checkout):
	"""Return the app's own and its tests' requirements, as pip takes them."""
	try:
		import tomllib
	except ModuleNotFoundError:  # Python 3.10
		from pip._vendor import tomli as tomllib
	project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
	return project["dependencies"] + project["optional-dependencies"]["test"]


def works(*arguments):
	"""Tell whether this Python succeeds with these arguments."""
	# nosemgrep: frappe-subprocess-exec -- lists of ours
	return subprocess.run([sys.executable, *arguments], capture_output=True).returncode == 0


def installer():
	"""Return the command that installs packages into this Python."""
	if works("-m", "pip", "--version"):
		return [sys.executable, "-m", "pip", "install"]
	return ["uv", "pip", "install", "--python", sys.executable]


def is_installed():
	"""Tell whether this Python finds the app without help: not where the folder it came from is gone."""
	return works("-I", "-c", "import crm_recharge")


def main():
	checkout, app = Path(sys.argv[1]), Path(sys.argv[2])
	# nosemgrep: frappe-subprocess-exec -- pip, a list
	subprocess.run([*installer(), *requirements(checkout)], check=True)
	if not is_installed():
		# nosemgrep: frappe-subprocess-exec -- pip, a list
		subprocess.run([*installer(), "--no-deps", "--force-reinstall", "-e", str(app)], check=True)


if __name__ == "__main__":
	main()
