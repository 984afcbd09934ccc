# shellcheck shell=bash
# What every command under dev/ shares: where things are, how a step is shown, who does what.
# Sourced, never run.

set -Eeuo pipefail
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

DEV="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
CHECKOUT="$(dirname "$DEV")"
APP=crm_recharge

# The only sites these commands make or change.
TEST_SITE=crm-recharge-test.localhost
DEMO_SITE=crm-recharge-demo.localhost
BENCHMARK_SITE=crm-recharge-bench.localhost
TRIAL_SITE=crm-recharge-uninstall.localhost

FRAPPE_REPO="${FRAPPE_REPO:-https://github.com/frappe/frappe}"
ERPNEXT_REPO="${ERPNEXT_REPO:-https://github.com/frappe/erpnext}"
BRANCH_WANTED="${FRAPPE_BRANCH:-}"
FRAPPE_BRANCH="${FRAPPE_BRANCH:-version-15}"

CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/$APP"
LOG="${CRM_RECHARGE_LOG:-$CACHE/logs/$(date +%Y%m%d-%H%M%S)-$$.log}"
export CRM_RECHARGE_LOG="$LOG"
mkdir -p "$(dirname "$LOG")"

# Exit status of dev/up when this machine can have no bench: not a failure of the project.
NO_BENCH=3

# Passed on to the bench's user; everything else of the caller's environment stays behind. CI is left out on
# purpose: with it set, Frappe's workers run as if inside a test and send no mail.
PASSED_ON='^(https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY|all_proxy|ALL_PROXY|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS'
PASSED_ON+='|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO|PIP_.*|UV_.*|(npm_config|NPM_CONFIG|YARN)_.*|TERM|TZ|LANG'
PASSED_ON+='|STRIPE_.*|CRM_RECHARGE_.*|HYPOTHESIS_.*|CHROMIUM)$'

trap 'exit 130' INT TERM HUP
trap unexpected ERR

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }

# unexpected: a command failed where no failure was foreseen. Told once, by the outermost shell.
unexpected() {
	local status=$?
	if [ "$BASH_SUBSHELL" -gt 0 ] || [ -n "${TOLD:-}" ]; then return; fi
	TOLD=1
	warn "error: ${BASH_SOURCE[1]}, line ${BASH_LINENO[0]}: exit $status from: $BASH_COMMAND (log: $LOG)"
}

# die WHAT [WHAT TO DO...]: ends the command as failed.
die() {
	warn "error: $1"
	shift
	local hint
	for hint in "$@"; do warn "       $hint"; done
	exit 1
}

# no_bench REASON: ends the command with one line; the caller of dev/up goes on without a bench.
no_bench() {
	[ -z "${CRM_RECHARGE_REASON_FILE:-}" ] || printf '%s\n' "$1" >"$CRM_RECHARGE_REASON_FILE"
	warn "no bench: $1"
	exit "$NO_BENCH"
}

# usage: the comment at the top of the command that is run.
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; }

has() { command -v "$1" >/dev/null 2>&1; }

# show_progress TITLE: prints a line every few seconds until it is killed or its command's shell is gone.
show_progress() {
	local started=$SECONDS idle last
	# Waits on a pipe nobody writes to: a sleep would outlive this function and keep the terminal's pipe open.
	exec {idle}<> <(:) 9<&-
	while ! read -r -t 5 -u "$idle" && kill -0 $$ 2>/dev/null; do
		last="$(tail -c 2000 "$LOG" | tr '\r' '\n' | grep -av '^[[:space:]]*$' | tail -n 1 | cut -c 1-90 || true)"
		say "   ... $1: $((SECONDS - started)) s   $last"
	done
}

# attempt TITLE COMMAND...: runs a long command with its output in the log, and returns its status.
attempt() {
	local title="$1" status=0 started=$SECONDS ticker
	shift
	printf '\n== %s\n' "$title" >>"$LOG"
	show_progress "$title" &
	ticker=$!
	"$@" >>"$LOG" 2>&1 </dev/null || status=$?
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	printf '== %s: exit %s after %s s\n' "$title" "$status" "$((SECONDS - started))" >>"$LOG"
	if [ "$status" -eq 0 ] && [ $((SECONDS - started)) -ge 5 ]; then say "   $title: done in $((SECONDS - started)) s"; fi
	return "$status"
}

# step TITLE COMMAND...: an attempt whose failure ends everything, and says which step it was, how the log ends, and
# (from HINT) what to do.
step() {
	local status=0
	attempt "$@" || status=$?
	if [ "$status" -eq 0 ]; then return; fi
	warn "failed: $1 (exit $status). The last lines of $LOG:"
	tail -c 20000 "$LOG" | tr '\r' '\n' | grep -avE '\[[= ]+\] +[0-9]+%' | tail -n 25 | cut -c 1-240 | sed 's/^/   | /' >&2
	if [ -n "${HINT:-}" ]; then warn "what to do: $HINT"; fi
	exit 1
}

# lock NAME SECONDS: one run at a time on what is named; returns 1 when it is still held after that time. Held on a
# file descriptor until the shell ends or unlock, and not handed to what as_root and as_bench start.
lock() {
	local file
	file="/tmp/$APP-$1-$(printf '%s' "$BENCH" | cksum | cut -d' ' -f1).lock"
	[ -e "$file" ] || (umask 0 && : >"$file")
	# Opened for reading: another user's file in /tmp may not be opened for writing.
	exec 9<"$file"
	if flock -n 9; then return; fi
	if [ "$2" -gt 0 ]; then say "   waiting for another run ($1)"; fi
	flock -w "$2" 9
}

unlock() { exec 9<&-; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# can_be_root: whether system-wide changes are possible, asking for sudo's password once where there is a terminal.
can_be_root() {
	is_root && return 0
	has sudo || return 1
	sudo -n true 2>/dev/null && return 0
	[ -t 0 ] && sudo -v
}

as_root() {
	if is_root; then "$@" 9<&-; else sudo -n "$@" 9<&-; fi
}

# become_bench: sets BECOME to the words that, before a command, run it as the user the bench belongs to (bench
# refuses root), this checkout first on Python's path, so that `import crm_recharge` is this checkout whatever the
# bench has linked.
become_bench() {
	local name
	BECOME=(env -i)
	if [ "$(id -un)" != "$BENCH_USER" ]; then
		if is_root; then BECOME=(runuser -u "$BENCH_USER" -- env -i); else BECOME=(sudo -n -u "$BENCH_USER" env -i); fi
	fi
	while IFS= read -r name; do
		if [[ "$name" =~ $PASSED_ON ]]; then BECOME+=("$name=${!name}"); fi
	done < <(compgen -e)
	BECOME+=("HOME=$BENCH_HOME" "USER=$BENCH_USER" "LOGNAME=$BENCH_USER" "SHELL=/bin/bash")
	BECOME+=("PATH=$(bench_path)" "PYTHONUNBUFFERED=1" "LC_ALL=C.UTF-8" "BENCH=${BENCH:-}")
	if [ -n "${READABLE:-}" ]; then BECOME+=("PYTHONPATH=$READABLE"); fi
}

as_bench() {
	local BECOME
	become_bench
	"${BECOME[@]}" "$@" 9<&-
}

# bench_path: PATH of the bench's user, the tools of these commands first, and of these the Node that Frappe needs.
bench_path() {
	local tools="$BENCH_HOME/.local/share/$APP"
	if [ "$(frappe_major)" -ge 16 ]; then printf '%s:' "$tools/node24/node_modules/.bin"; fi
	printf '%s' "$tools/venv/bin:$tools/node/node_modules/.bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
}

from_folder() { as_bench "${FROM_FOLDER[@]}" "$@"; }
FROM_FOLDER=(bash -c 'cd "$1" && shift && exec "$@"' from_folder)

# in_sites COMMAND...: from the bench's sites folder, where Frappe expects to be.
in_sites() { from_folder "$BENCH/sites" "$@"; }

# end_in_sites COMMAND...: in place of this shell, so that a signal to it reaches the command. Locks are kept.
end_in_sites() {
	become_bench
	exec "${BECOME[@]}" "${FROM_FOLDER[@]}" "$BENCH/sites" "$@"
}

# frappe ARGUMENT...: what `bench ARGUMENT...` does inside a bench, without needing the bench command.
frappe() { in_sites ../env/bin/python -m frappe.utils.bench_helper frappe "$@"; }

# checkout_name: the commit under test, for people.
checkout_name() {
	git -c safe.directory='*' -C "$CHECKOUT" describe --always --dirty 2>/dev/null || echo "no commit"
}
