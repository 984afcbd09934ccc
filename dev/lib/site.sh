# shellcheck shell=bash
# The sites of these commands: made once, migrated when something they were built from changed. Sourced after
# bench.sh and database.sh.

# site_tool COMMAND SITE [ARGUMENT...]: see bench_site.py.
site_tool() { in_sites ../env/bin/python "$READABLE/dev/lib/bench_site.py" "$@"; }

# with_login COMMAND...: a bench command that needs the database's admin login; the password is read from its file
# by with_login.py, so that it stands in no process list.
with_login() { in_sites ../env/bin/python "$READABLE/dev/lib/with_login.py" "$(login_file)" "$@"; }

# mark SITE STAGE [TEXT]: how far an earlier run has come: "base" with ERPNext set up, "trying" and
# "app" with the app going on and on it.
mark() { as_bench bash -c 'printf "%s\n" "$2" >"$1"' _ "$(mark_file "$1" "$2")" "${3:-}"; }
marked() { as_bench test -f "$(mark_file "$1" "$2")"; }
mark_file() { printf '%s' "$BENCH/sites/$1/.$APP-$2"; }

# make_base SITE: Frappe and ERPNext with its set-up wizard done; from the second site on out of a copy of the first.
make_base() {
	local copy
	copy="$BENCH/sites/.$APP-base-$(site_tool base).sql"
	ensure_login
	as_bench rm -f "$(mark_file "$1" base)" "$(mark_file "$1" trying)" "$(mark_file "$1" app)"
	if as_bench test -f "$copy"; then
		HINT="if the copy is at fault: rm $copy; then run the command again" \
			step "making the site $1" with_login new-site "$1" --force --admin-password admin --source-sql "$copy"
	else
		HINT="run the command again: a half-made site is made anew" \
			step "making the site $1 (Frappe, ERPNext)" with_login new-site "$1" --force --admin-password admin --install-app erpnext
		step "ERPNext's set-up wizard on $1" site_tool wizard "$1"
		keep_copy "$1" "$copy"
	fi
	mark "$1" base
}

# keep_copy SITE FILE: the database of a site that has nothing of ours yet.
keep_copy() {
	as_bench find "$BENCH/sites" -maxdepth 1 -name ".$APP-base-*.sql" -delete
	step "keeping a copy for the other sites" copy_out "$1" "$2"
}

copy_out() {
	as_bench bash -c '
		umask 077
		mariadb-dump --defaults-extra-file="$1" --single-transaction "$3" >"$2.new" && mv "$2.new" "$2"
	' _ "$(login_file)" "$2" "$(site_tool database "$1")"
}

copy_in() {
	as_bench bash -c 'mariadb --defaults-extra-file="$1" "$3" <"$2"' _ "$(login_file)" "$2" "$(site_tool database "$1")" &&
		frappe --site "$1" clear-cache
}

# What earlier tests left behind must not fail later ones: they start from the site as it was made. One copy for each
# schema, the latest three: several checkouts may use one bench in turn, and none finds the other's DocTypes.
unused_copy() { printf '%s' "$BENCH/sites/.$APP-unused-$1-${2:0:16}.sql"; }
unused_copies() { as_bench find "$BENCH/sites" -maxdepth 1 -name ".$APP-unused-$1*.sql" -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2-; }

# empty_database SITE: no table that a copy does not bring stays behind.
empty_database() {
	local name
	name="$(site_tool database "$1")"
	{
		printf 'USE `%s`; SET FOREIGN_KEY_CHECKS = 0;\n' "$name"
		sql_as_login <<<"SELECT CONCAT('DROP ', IF(TABLE_TYPE = 'VIEW', 'VIEW', 'TABLE'), ' \`', TABLE_NAME, '\`;')
			FROM information_schema.TABLES WHERE TABLE_SCHEMA = '$name'"
	} | sql_as_login
}

# as_unused SITE FINGERPRINT
as_unused() {
	ensure_login
	if [ "$(as_bench cat "$(mark_file "$1" app)" 2>/dev/null)" != "$2" ]; then
		HINT="to make the site anew: rm -r $BENCH/sites/$1" step "dropping another schema's tables" empty_database "$1"
	fi
	HINT="to make the site anew: rm -r $BENCH/sites/$1" step "emptying $1" copy_in "$1" "$(unused_copy "$1" "$2")"
	mark "$1" app "$2"
}

# keep_unused SITE FINGERPRINT
keep_unused() {
	local old
	ensure_login
	step "keeping a copy of $1 for the next tests" copy_out "$1" "$(unused_copy "$1" "$2")"
	unused_copies "$1" | tail -n +4 | while IFS= read -r old; do as_bench rm -f "$old"; done
}

add_app() {
	mark "$1" trying
	HINT="the lines above say what failed in the app; then run the command again" \
		step "installing $APP on $1" frappe --site "$1" --force install-app "$APP"
	site_tool configure "$1" "$2" >>"$LOG"
	mark "$1" app "$(site_tool fingerprint "$1")"
}

migrate_site() {
	local now
	now="$(site_tool fingerprint "$1")"
	if [ "$(as_bench cat "$(mark_file "$1" app)")" = "$now" ]; then return; fi
	HINT="the lines above name the DocType or patch; to make the site anew: rm -r $BENCH/sites/$1" \
		step "migrating $1" frappe --site "$1" migrate --skip-search-index
	mark "$1" app "$now"
}

# ensure_site SITE PURPOSE: there, with this checkout's app. PURPOSE is "test" or "use".
ensure_site() {
	if ! marked "$1" base || ! site_tool alive "$1" >>"$LOG" 2>&1; then
		make_base "$1"
	elif marked "$1" trying && ! marked "$1" app; then
		make_base "$1" # Frappe takes a half-installed app for installed
	fi
	if [ "$2" = test ]; then
		ensure_unused "$1"
	elif marked "$1" app; then
		migrate_site "$1"
	else
		add_app "$1" "$2"
	fi
	say "   site: $1"
}

# ensure_unused SITE: as it was when the app, with this checkout's schema, was installed on it. Never migrated from
# another schema: Frappe does not take back what that one brought.
ensure_unused() {
	local now
	now="$(site_tool fingerprint "$1")"
	if as_bench test -f "$(unused_copy "$1" "$now")"; then
		as_unused "$1" "$now"
		return
	fi
	if marked "$1" app; then make_base "$1"; fi
	add_app "$1" test
	keep_unused "$1" "$now"
}
