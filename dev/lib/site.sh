# shellcheck shell=bash
# The sites of these commands: made once, migrated when something they were built from changed. Sourced after
# bench.sh and database.sh.

# site_tool COMMAND SITE [ARGUMENT...]: see site.py.
site_tool() { in_sites ../env/bin/python "$READABLE/dev/lib/site.py" "$@"; }

# with_login COMMAND...: a bench command that needs the database's admin login; the password is read from its file
# by with_login.py, so that it stands in no process list.
with_login() { in_sites ../env/bin/python "$READABLE/dev/lib/with_login.py" "$(login_file)" "$@"; }

# is_ready SITE: made to the end by an earlier run.
is_ready() { as_bench test -f "$BENCH/sites/$1/.$APP-ready"; }

make_site() {
	local site="$1"
	ensure_login
	HINT="run the command again: a half-made site is made anew" \
		step "making the site $site (Frappe, ERPNext)" with_login new-site "$site" --force \
		--admin-password admin --install-app erpnext
	step "ERPNext's set-up wizard on $site" site_tool wizard "$site"
	step "installing $APP on $site" frappe --site "$site" install-app "$APP"
	site_tool configure "$site" "$2" >>"$LOG"
	as_bench bash -c 'printf "%s\n" "$2" >"$1"' _ "$BENCH/sites/$site/.$APP-ready" "$(site_tool fingerprint "$site")"
}

migrate_site() {
	local site="$1" now
	now="$(site_tool fingerprint "$site")"
	if [ "$(as_bench cat "$BENCH/sites/$site/.$APP-ready")" = "$now" ]; then return; fi
	HINT="the end of the log names the DocType or patch; to start anew: rm -r $BENCH/sites/$site" \
		step "migrating $site" frappe --site "$site" migrate --skip-search-index
	as_bench bash -c 'printf "%s\n" "$2" >"$1"' _ "$BENCH/sites/$site/.$APP-ready" "$now"
}

# ensure_site SITE PURPOSE: made, or brought up to date. PURPOSE is "test" or "use".
ensure_site() {
	if is_ready "$1" && site_tool alive "$1" >>"$LOG" 2>&1; then migrate_site "$1"; else make_site "$1" "$2"; fi
	say "   site: $1"
}
