# shellcheck shell=bash
# A Python for what needs no bench. Sourced after machine.sh.

# find_python: a Python new enough for the app, with venv.
find_python() {
	local candidate
	for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10; do
		if has "$candidate" && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
			command -v "$candidate"
			return
		fi
	done
	return 1
}

# ensure_python: sets PYTHON to such a Python, installing one where there is none.
ensure_python() {
	if ! PYTHON="$(find_python)"; then
		can_be_root && has apt-get || die "Python 3.10 or newer is needed" "install python3 and python3-venv, or set PYTHON"
		ensure_packages python3 python3-venv
		PYTHON="$(find_python)" || die "this system's python3 is older than 3.10" "install a newer one and set PYTHON to it"
	fi
}

# ensure_venv REQUIREMENT...: sets VENV to a virtual environment outside the checkout that holds these packages.
ensure_venv() {
	local key
	ensure_python
	key="$(printf '%s\n' "$("$PYTHON" -VV)" "$@" | cksum | cut -d' ' -f1)"
	VENV="$CACHE/venv-$key"
	if [ -f "$VENV/.complete" ]; then return; fi
	rm -rf "$VENV"
	mkdir -p "$CACHE"
	if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
		can_be_root || die "$PYTHON cannot make virtual environments" "install python3-venv"
		ensure_packages python3-venv
	fi
	step "making a Python environment in $VENV" "$PYTHON" -m venv "$VENV"
	HINT="see whether PyPI is in reach, then run the command again" \
		step "installing $*" "$VENV/bin/python" -m pip install "$@"
	touch "$VENV/.complete"
}
