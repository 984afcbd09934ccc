# shellcheck shell=bash
# MariaDB: running, in Unicode, with an admin login of these commands' own. Sourced after bench.sh.

# The admin login lives with the bench's user, whoever types the command.
login_file() { printf '%s' "$BENCH_HOME/.config/$APP/mariadb.cnf"; }

# sql_as_login: runs SQL from standard input with the admin login.
sql_as_login() { as_bench mariadb --defaults-extra-file="$(login_file)" --batch --skip-column-names; }

login_works() { as_bench test -f "$(login_file)" && sql_as_login <<<"SELECT 1" >/dev/null 2>&1; }

# sql_as_admin: runs SQL from standard input as the server's own administrator: the Unix socket's root, else
# MARIADB_ROOT_PASSWORD.
sql_as_admin() {
	if [ -n "${MARIADB_ROOT_PASSWORD:-}" ]; then
		MYSQL_PWD="$MARIADB_ROOT_PASSWORD" mariadb -u root -h "$(db_host)" -P "$(db_port)" --batch
	else
		as_root mariadb --batch
	fi
}

db_host() { common_config db_host 127.0.0.1; }
db_port() { common_config db_port 3306; }

# ensure_login: an own admin account with a random password, kept in a file only the bench's user can read.
ensure_login() {
	if login_works; then return; fi
	local password
	password="$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
	if ! sql_as_admin 2>>"$LOG" <<-SQL
		CREATE USER IF NOT EXISTS '${APP}_admin'@'localhost' IDENTIFIED BY '$password';
		ALTER USER '${APP}_admin'@'localhost' IDENTIFIED BY '$password';
		GRANT ALL PRIVILEGES ON *.* TO '${APP}_admin'@'localhost' WITH GRANT OPTION;
	SQL
	then
		die "MariaDB lets nobody in to make the sites' databases" \
			"set MARIADB_ROOT_PASSWORD to the password of its root account and run this again"
	fi
	as_bench bash -c 'umask 077 && mkdir -p "$(dirname "$1")" && printf "[client]\nuser=%s\npassword=%s\nhost=%s\nport=%s\n" "${@:2}" >"$1"' \
		_ "$(login_file)" "${APP}_admin" "$password" "$(db_host)" "$(db_port)"
	login_works || die "the new MariaDB login ${APP}_admin does not work" "see $LOG"
}
