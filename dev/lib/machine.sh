# shellcheck shell=bash
# The machine: packages, users, tools and services. Installs only what is missing. Sourced after bench.sh.

# What a bench in use needs, and what building one needs besides. Command and package.
USED_COMMANDS=(mariadbd:mariadb-server mariadb:mariadb-client redis-server:redis-server wkhtmltopdf:wkhtmltopdf)
BUILD_PACKAGES=(git ca-certificates build-essential pkg-config libmariadb-dev libffi-dev libpangoft2-1.0-0 fontconfig
	python3 python3-dev python3-venv)
MARIADB_SETTINGS=/etc/mysql/mariadb.conf.d/99-crm-recharge.cnf

# ensure_packages PACKAGE...: installs Debian or Ubuntu packages that are missing.
ensure_packages() {
	local missing=() package
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	has apt-get || no_bench "missing here: ${missing[*]}; this machine has no apt-get, so install them by hand"
	can_be_root || no_bench "missing here: ${missing[*]}; install them, or run this as root or as a user with sudo"
	local HINT="see whether the package mirror is in reach, then run the command again"
	step "refreshing the package lists" apt_get update
	step "installing ${missing[*]}" apt_get install -y --no-install-recommends "${missing[@]}"
}

apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# ensure_commands COMMAND:PACKAGE...: like ensure_packages, content with a command from anywhere.
ensure_commands() {
	local pair missing=()
	for pair in "$@"; do has "${pair%%:*}" || missing+=("${pair##*:}"); done
	[ ${#missing[@]} -eq 0 ] || ensure_packages "${missing[@]}"
}

# ensure_machine: all that has to be there before a bench can be used or built.
ensure_machine() {
	can_be_bench_user || no_bench "the bench $BENCH belongs to $BENCH_USER: run this as that user, as root, or with sudo"
	if ! is_bench "$BENCH"; then check_sources; fi
	write_mariadb_settings
	ensure_commands "${USED_COMMANDS[@]}"
	if ! is_bench "$BENCH"; then ensure_builder; fi
}

# check_sources: ends the command where no bench can be built, before anything large is installed.
check_sources() {
	local repository status run=()
	ensure_commands git:git
	if id "$BENCH_USER" >/dev/null 2>&1; then run=(as_bench); fi
	for repository in "$FRAPPE_REPO" "$ERPNEXT_REPO"; do
		status=0
		"${run[@]}" env GIT_TERMINAL_PROMPT=0 timeout 60 git ls-remote --exit-code "$repository" "$FRAPPE_BRANCH" \
			>>"$LOG" 2>&1 </dev/null || status=$?
		case "$status" in
		0) ;;
		2) die "$repository has no branch $FRAPPE_BRANCH" "set FRAPPE_BRANCH to a branch that both repositories have" ;;
		*) no_bench "none at $BENCH, and $repository is out of reach; set BENCH to an existing bench, or FRAPPE_REPO and ERPNEXT_REPO to repositories in reach" ;;
		esac
	done
}

# ensure_builder: the user, packages and tools that build a bench.
ensure_builder() {
	ensure_packages "${BUILD_PACKAGES[@]}"
	if ! id "$BENCH_USER" >/dev/null 2>&1; then
		step "adding the user $BENCH_USER (bench refuses to run as root)" as_root useradd --create-home --shell /bin/bash "$BENCH_USER"
		BENCH_HOME="$(home_of "$BENCH_USER")"
	fi
	ensure_node
	ensure_bench_command
	ensure_frappe_python
}

node_major() { as_bench node --version 2>/dev/null | sed -nE 's/^v([0-9]+).*/\1/p'; }

# ensure_node: Node 18 or newer (for Frappe 16: 24), and Yarn 1 (newer majors do not build Frappe), where the bench's
# user finds them. A newer Node comes from the npm registry, for benches with Frappe 16 alone.
ensure_node() {
	local least=18
	if [ "$(frappe_major)" -ge 16 ]; then least=24; fi
	if [ "$(node_major || true)" = "" ]; then ensure_packages nodejs npm; fi
	if [ "$(node_major)" -lt "$least" ] && [ "$least" -gt 18 ]; then
		has_npm || ensure_packages npm
		HINT="see whether the npm registry is in reach, or install Node $least where $BENCH_USER finds it, then run the command again" \
			step "installing Node $least" as_bench npm install --no-audit --no-fund --prefix "$(tools)/node24" "node@$least"
	fi
	if [ "$(node_major)" -lt "$least" ]; then
		die "Node $(node_major) is too old for Frappe" "install Node $least or newer where $BENCH_USER finds it (/usr/local/bin, say)"
	fi
	if [[ "$(as_bench yarn --version 2>/dev/null || true)" != 1.* ]]; then
		HINT="see whether the npm registry is in reach, then run the command again" \
			step "installing Yarn 1" as_bench npm install --no-audit --no-fund --prefix "$(tools)/node" yarn@1
	fi
}

has_npm() { as_bench npm --version >/dev/null 2>&1; }

# ensure_frappe_python: sets FRAPPE_PYTHON to the Python that Frappe runs on: for 16 exactly 3.14, the system's or one
# that uv fetches; the system's python3 for older ones.
ensure_frappe_python() {
	FRAPPE_PYTHON=python3
	if [ "$(frappe_major)" -lt 16 ] || is_python_314 python3; then return; fi
	FRAPPE_PYTHON="$(as_bench uv python find --system 3.14 2>>"$LOG" || true)"
	if is_python_314 "$FRAPPE_PYTHON"; then return; fi
	if attempt "fetching Python 3.14" as_bench uv python install 3.14; then
		FRAPPE_PYTHON="$(as_bench uv python find 3.14)"
	fi
	is_python_314 "$FRAPPE_PYTHON" ||
		die "Frappe 16 needs Python 3.14, which is not here and could not be fetched (see $LOG)" \
			"install python3.14 with its headers and venv where $BENCH_USER finds it, or let uv reach its downloads (UV_PYTHON_INSTALL_MIRROR)"
}

# is_python_314 COMMAND: one that can also make environments and build packages.
is_python_314() {
	[ -n "$1" ] && as_bench "$1" -c '
import os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info[:2] != (3, 14) or not os.path.exists(header))' >>"$LOG" 2>&1
}

tools() { printf '%s' "$BENCH_HOME/.local/share/$APP"; }

# ensure_bench_command: the bench command and uv, in an environment of their own.
ensure_bench_command() {
	if as_bench bench --version >/dev/null 2>&1 && as_bench uv --version >/dev/null 2>&1; then return; fi
	step "making a Python environment for the bench command" as_bench python3 -m venv --clear "$(tools)/venv"
	HINT="see whether PyPI is in reach, then run the command again" \
		step "installing the bench command" as_bench "$(tools)/venv/bin/pip" install --upgrade frappe-bench uv
}

# ensure_bench: builds what is missing, and starts the services the bench needs.
ensure_bench() {
	if ! is_bench "$BENCH"; then build_bench; fi
	if [ ! -d "$BENCH/apps/erpnext" ]; then
		ensure_builder
		add_erpnext
	fi
	start_mariadb
	start_redis redis_cache
	start_redis redis_queue
}

build_bench() {
	local mark
	mark="$(unfinished_mark "$BENCH")"
	if [ -e "$BENCH" ] && [ ! -e "$mark" ]; then
		die "$BENCH is there but is no bench" "move it away, or set BENCH to another folder"
	fi
	prepare_folder "$(dirname "$BENCH")"
	as_bench bash -c 'rm -rf "$1" && touch "$2"' _ "$BENCH" "$mark"
	HINT="the lines above say what failed; running the command again starts the bench anew" \
		step "building the bench $BENCH with Frappe ($FRAPPE_BRANCH)" from_folder "$(dirname "$BENCH")" \
		bench init --no-backups --skip-assets --python "$FRAPPE_PYTHON" --frappe-path "$FRAPPE_REPO" --frappe-branch "$FRAPPE_BRANCH" "$BENCH"
	add_erpnext
	as_bench rm -f "$mark"
}

# prepare_folder FOLDER: there, and the bench's user may write to it.
prepare_folder() {
	as_bench mkdir -p "$1" 2>/dev/null || true
	as_bench test -w "$1" || die "$BENCH_USER cannot write to $1, where the bench is to be" "set BENCH to another folder"
}

add_erpnext() {
	HINT="the lines above say what failed; then run the command again" \
		step "adding ERPNext" from_folder "$BENCH" bench get-app --skip-assets --branch "$(bench_branch)" "$ERPNEXT_REPO"
	step "building the desk's assets" frappe build
}

# bench_branch: the branch of ERPNext that goes with the Frappe that is there.
bench_branch() {
	local major
	major="$(major_of "$BENCH")"
	if [[ "$FRAPPE_BRANCH" == version-* ]] && [ -n "$major" ]; then echo "version-$major"; else echo "$FRAPPE_BRANCH"; fi
}

answers() { timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/$2"' _ "$1" "$2" 2>/dev/null; }

# wait_for HOST PORT SECONDS
wait_for() {
	local end=$((SECONDS + $3))
	until answers "$1" "$2"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.3
	done
}

# write_mariadb_settings: Unicode as Frappe wants it, in a file of its own, unless somebody has set it already.
write_mariadb_settings() {
	if grep -rqsE '^[[:space:]]*character.set.client.handshake' /etc/mysql || ! can_be_root; then return; fi
	as_root mkdir -p "$(dirname "$MARIADB_SETTINGS")"
	as_root tee "$MARIADB_SETTINGS" >/dev/null <<-SETTINGS
		# Written by crm_recharge's dev/up: Frappe wants Unicode throughout.
		[mysqld]
		character-set-client-handshake = FALSE
		character-set-server = utf8mb4
		collation-server = utf8mb4_unicode_ci

		[mysql]
		default-character-set = utf8mb4
	SETTINGS
}

is_local() { [[ "$1" =~ ^(localhost|127\.0\.0\.1|::1)$ ]]; }

# start_mariadb: by the service manager where there is one, else directly (a container has none).
start_mariadb() {
	local host port
	host="$(db_host)" port="$(db_port)"
	if answers "$host" "$port"; then return; fi
	is_local "$host" || die "MariaDB on $host:$port does not answer" "start it there, or see db_host in $BENCH/sites/common_site_config.json"
	can_be_root || die "MariaDB is not running" "start it, or run this as root or as a user with sudo"
	say "   starting MariaDB"
	as_root timeout 60 service mariadb start >>"$LOG" 2>&1 </dev/null || true
	wait_for "$host" "$port" 15 || start_mariadb_directly
	wait_for "$host" "$port" 60 || die "MariaDB does not answer on $host:$port" "see $LOG and MariaDB's own error log"
}

start_mariadb_directly() {
	as_root install -d -o mysql -g mysql /run/mysqld
	if ! as_root test -d /var/lib/mysql/mysql; then
		as_root mariadb-install-db --user=mysql --datadir=/var/lib/mysql >>"$LOG" 2>&1 </dev/null
	fi
	as_root setsid --fork mariadbd-safe --user=mysql >>"$LOG" 2>&1 </dev/null
}

# start_redis NAME: one of the bench's own, from the bench's own settings.
start_redis() {
	local url host port
	url="$(common_config "$1" "")"
	[ -n "$url" ] || die "$BENCH/sites/common_site_config.json names no $1" "run 'bench setup redis' in the bench"
	host="$(sed -E 's,^[a-z]+://([^@]*@)?,,; s,[:/].*,,' <<<"$url")"
	port="$(sed -nE 's,^.*:([0-9]+)(/.*)?$,\1,p' <<<"$url")"
	if answers "$host" "${port:-6379}"; then return; fi
	if ! is_local "$host" || ! as_bench test -f "$BENCH/config/$1.conf"; then
		die "Redis at $url does not answer" "start it; the bench has no $BENCH/config/$1.conf to start it from"
	fi
	say "   starting $1"
	from_folder "$BENCH" redis-server "config/$1.conf" --daemonize yes >>"$LOG" 2>&1 </dev/null
	wait_for "$host" "${port:-6379}" 15 || die "Redis does not answer at $url" "see $LOG"
}

# find_chromium: sets CHROMIUM to a browser that starts, or fails. A snap's stand-in does not start.
find_chromium() {
	local candidate
	for candidate in "${CHROMIUM:-}" chromium google-chrome google-chrome-stable chromium-browser "$(playwright_chromium)"; do
		if [ -n "$candidate" ] && as_bench timeout 30 "$candidate" --version >/dev/null 2>&1; then
			CHROMIUM="$(as_bench bash -c 'command -v "$1"' _ "$candidate")"
			return
		fi
	done
	return 1
}

# ensure_chromium: Debian's own, or on Ubuntu, which has only a snap, the one Playwright brings.
ensure_chromium() {
	if find_chromium; then return; fi
	can_be_root || return 1
	if grep -qs '^ID=debian' /etc/os-release; then
		attempt "refreshing the package lists" apt_get update
		attempt "installing Chromium" apt_get install -y --no-install-recommends chromium || return 1
	else
		attempt "installing what Chromium needs" as_root env PYTHONPATH= "$BENCH/env/bin/python" -m playwright install-deps chromium
		attempt "installing Chromium" as_bench "$BENCH/env/bin/python" -m playwright install chromium || return 1
	fi
	find_chromium
}

playwright_chromium() {
	as_bench "$BENCH/env/bin/python" -c '
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
	print(playwright.chromium.executable_path)' 2>/dev/null || true
}
