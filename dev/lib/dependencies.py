"""Install what the app and its tests need into the Python that runs this file (the bench's environment).

Usage: python dependencies.py CHECKOUT APP_FOLDER

The requirements are read from CHECKOUT/pyproject.toml. The app itself is installed in place from APP_FOLDER only
when this Python does not know it yet: an installation somebody made stays as it is.
"""

import importlib.metadata
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


def installer():
	"""Return the command that installs packages into this Python."""
	has_pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0
	return (
		[sys.executable, "-m", "pip", "install"]
		if has_pip
		else ["uv", "pip", "install", "--python", sys.executable]
	)


def is_installed(name):
	"""Tell whether this Python has the distribution."""
	try:
		importlib.metadata.distribution(name)
	except importlib.metadata.PackageNotFoundError:
		return False
	return True


def main():
	checkout, app = Path(sys.argv[1]), Path(sys.argv[2])
	subprocess.run([*installer(), *requirements(checkout)], check=True)
	if not is_installed("crm_recharge"):
		subprocess.run([*installer(), "--no-deps", "-e", str(app)], check=True)


if __name__ == "__main__":
	main()
