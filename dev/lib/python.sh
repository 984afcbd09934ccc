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

# ensure_venv REQUIREMENT...: sets VENV to a virtual environment outside the checkout that holds these packages.
ensure_venv() {
	local python key
	python="$(find_python)" || die "Python 3.10 or newer is needed" "install python3, or set PYTHON"
	key="$(printf '%s\n' "$("$python" -VV)" "$@" | cksum | cut -d' ' -f1)"
	VENV="$CACHE/venv-$key"
	if [ -f "$VENV/.complete" ]; then return; fi
	rm -rf "$VENV"
	mkdir -p "$CACHE"
	if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
		can_be_root || die "$python cannot make virtual environments" "install python3-venv"
		ensure_packages python3-venv
	fi
	step "making a Python environment in $VENV" "$python" -m venv "$VENV"
	HINT="see whether PyPI is in reach, then run the command again" \
		step "installing $*" "$VENV/bin/python" -m pip install "$@"
	touch "$VENV/.complete"
}
