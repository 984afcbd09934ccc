# shellcheck shell=bash
# The bench: which one, whose, and how this checkout gets into it. Sourced after common.sh.

# is_bench PATH: looks like a bench that was built to its end.
is_bench() {
	[ -x "$1/env/bin/python" ] && [ -f "$1/sites/common_site_config.json" ] && [ -d "$1/apps/frappe/frappe" ] &&
		[ ! -e "$(unfinished_mark "$1")" ]
}

# Stands beside a bench while it is being built: a bench with this mark is ours to throw away.
unfinished_mark() { printf '%s' "$(dirname "$1")/.$(basename "$1").$APP-unfinished"; }

# home_of USER: nothing where there is no such user yet.
home_of() { getent passwd "$1" | cut -d: -f6 || true; }

# major_of PATH: the first number of the version of Frappe that a bench has; nothing where there is none.
major_of() { sed -nE 's/^__version__ = "([0-9]+).*/\1/p' "$1/apps/frappe/frappe/__init__.py" 2>/dev/null || true; }

# frappe_major: of the bench that is there, else of the one that is to be made. A branch without a number is the newest.
frappe_major() {
	local major
	major="$(major_of "${BENCH:-}")"
	if [ -z "$major" ] && [[ "$FRAPPE_BRANCH" =~ ^version-([0-9]+) ]]; then major="${BASH_REMATCH[1]}"; fi
	printf '%s' "${major:-99}"
}

# is_wanted PATH: whether a bench has the version of Frappe that was asked for, if one was.
is_wanted() {
	[ -z "$BRANCH_WANTED" ] || [[ ! "$FRAPPE_BRANCH" =~ ^version-([0-9]+) ]] || [ "$(major_of "$1")" = "${BASH_REMATCH[1]}" ]
}

# bench_name: of a bench that is made without BENCH: Frappe 15 and others stand beside each other.
bench_name() {
	if [ "$FRAPPE_BRANCH" = version-15 ]; then echo frappe-bench; else echo "frappe-bench-${FRAPPE_BRANCH#version-}"; fi
}

# find_bench: sets BENCH, BENCH_USER and BENCH_HOME: an existing bench, or where one is to be made.
find_bench() {
	local folder candidate
	if [ -z "${BENCH:-}" ]; then
		for folder in "$HOME" "$(home_of frappe)"; do
			for candidate in "$folder/frappe-bench" "$folder/$(bench_name)"; do
				if [ -z "${BENCH:-}" ] && is_bench "$candidate" && is_wanted "$candidate"; then BENCH="$candidate"; fi
			done
		done
	elif is_bench "$BENCH" && ! is_wanted "$BENCH"; then
		die "$BENCH has Frappe $(major_of "$BENCH"), and FRAPPE_BRANCH says $FRAPPE_BRANCH" "leave one of the two out"
	fi
	if [ -n "${BENCH:-}" ] && is_bench "$BENCH"; then
		BENCH="$(cd "$BENCH" && pwd -P)"
		BENCH_USER="$(stat -c %U "$BENCH")"
	elif is_root; then
		BENCH_USER=frappe
	else
		BENCH_USER="$(id -un)"
	fi
	BENCH_HOME="$(home_of "$BENCH_USER")"
	BENCH_HOME="${BENCH_HOME:-/home/$BENCH_USER}"
	BENCH="${BENCH:-$BENCH_HOME/$(bench_name)}"
	export BENCH
}

# can_be_bench_user: whether this user may run commands as the bench's user.
can_be_bench_user() {
	[ "$(id -un)" = "$BENCH_USER" ] || can_be_root
}

# common_config KEY [DEFAULT]: a value of the bench's common_site_config.json.
common_config() {
	as_bench "$BENCH/env/bin/python" -c '
import json, sys
path, key, default = sys.argv[1:]
print(json.load(open(path)).get(key) or default)' "$BENCH/sites/common_site_config.json" "$1" "${2:-}"
}

# make_readable: sets READABLE, the folder from which the bench's user imports this checkout: the checkout itself,
# or a fresh copy where that user may not read it (a clone in another user's home, say).
make_readable() {
	READABLE=""
	if as_bench bash -c 'test -x "$1" && ! find "$1/crm_recharge" "$1/dev" -not -readable -print -quit 2>&1 | grep -q .' _ "$CHECKOUT"; then
		READABLE="$CHECKOUT"
		return
	fi
	local copy
	copy="$BENCH_HOME/.cache/$APP/checkout-$(printf '%s' "$CHECKOUT" | cksum | cut -d' ' -f1)"
	tar -C "$CHECKOUT" --exclude=.git --exclude=node_modules --exclude=__pycache__ -cf - . |
		as_bench bash -c 'rm -rf "$1.new" && mkdir -p "$1.new" && tar -C "$1.new" -xf - && rm -rf "$1" && mv "$1.new" "$1"' _ "$copy"
	READABLE="$copy"
	say "   $BENCH_USER cannot read $CHECKOUT: running the copy in $copy"
}

# link_app: makes the bench know the app. A real clone, or a link to a checkout that is there, is somebody's choice
# and stays: the commands here run this checkout all the same (PYTHONPATH, see as_bench).
link_app() {
	local app="$BENCH/apps/$APP"
	as_bench bash -c '
		set -e
		app="$1" readable="$2" name="$3" sites="$4"
		if [ ! -e "$app" ]; then ln -sfn "$readable" "$app"; fi
		grep -qx "$name" "$sites/apps.txt" || { [ -z "$(tail -c 1 "$sites/apps.txt")" ] || echo; echo "$name"; } >>"$sites/apps.txt"
		if [ -L "$app" ] && [ ! -e "$sites/assets/$name" ]; then
			mkdir -p "$sites/assets"
			ln -sfn "../../apps/$name/$name/public" "$sites/assets/$name"
		fi
	' link_app "$app" "$READABLE" "$APP" "$BENCH/sites"
}

# install_dependencies: the app itself (where it is missing, or its folder gone) and what it and its tests need, into
# the bench's environment; skipped while pyproject.toml is what it was.
install_dependencies() {
	local mark="$BENCH/env/.$APP-dependencies" now
	now="$(cksum <"$CHECKOUT/pyproject.toml")"
	if [ "$(as_bench cat "$mark" 2>/dev/null)" = "$now" ] && is_installed; then return; fi
	HINT="see whether PyPI is in reach, then run the command again" \
		step "installing the app's Python packages" as_bench "$BENCH/env/bin/python" "$READABLE/dev/lib/dependencies.py" \
		"$READABLE" "$BENCH/apps/$APP"
	as_bench bash -c 'printf "%s\n" "$2" >"$1"' _ "$mark" "$now"
}

# is_installed: whether the bench's own commands find the app, too. -I leaves our PYTHONPATH out.
is_installed() { as_bench "$BENCH/env/bin/python" -I -c "import $APP" 2>/dev/null; }

# check_import: fails unless the bench's Python really imports this checkout.
check_import() {
	local found
	found="$(in_sites ../env/bin/python -c "import $APP; print($APP.__file__)")"
	if [ "$found" != "$READABLE/$APP/__init__.py" ]; then
		die "the bench imports $found instead of $READABLE/$APP" "remove the other copy from $BENCH/env, or set BENCH to another bench"
	fi
	say "   under test: $found ($(checkout_name))"
}
