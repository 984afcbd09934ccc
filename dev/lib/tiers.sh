# shellcheck shell=bash
# The three tiers of tests. Each adds one line to TIER_LINES and its counts to the totals. Sourced after site.sh.

TIER_LINES=()
PASSED=0
FAILED=0
BROKEN=0

# A tier that hangs is stopped, and its stack shown, rather than left to whoever waits for it.
LIMIT="${CRM_RECHARGE_TIER_SECONDS:-2400}"
LIMITED=(timeout --foreground --signal=ABRT --kill-after=20 "$LIMIT")

# tier_done TIER KIND REPORT: counts a report's results; one without results means the run broke.
tier_done() {
	local passed failed skipped line
	if ! read -r passed failed skipped < <(counts "$2" "$3" || true); then
		tier_broke "$1" "the run ended before its result"
		return
	fi
	if [ $((passed + failed + skipped)) -eq 0 ]; then
		tier_broke "$1" "no test was found"
		return
	fi
	line="$1: $passed passed"
	if [ "$failed" -gt 0 ]; then line+=", $failed failed"; fi
	if [ "$skipped" -gt 0 ]; then line+=", $skipped skipped"; fi
	TIER_LINES+=("$line")
	PASSED=$((PASSED + passed))
	FAILED=$((FAILED + failed))
}

counts() { "$PYTHON" "$DEV/lib/counts.py" "$1" "$2" 2> >(tee -a "$LOG" >&2); }

# tier_not_run TIER REASON: this machine does not allow it; with --strict that is a failure.
tier_not_run() {
	TIER_LINES+=("$1: not run ($2)")
	if [ -n "${STRICT:-}" ]; then BROKEN=1; fi
}

tier_broke() {
	TIER_LINES+=("$1: failed ($2; see $LOG)")
	BROKEN=1
}

# show_failures: the part of a runner's output that tells what failed.
show_failures() {
	awk '/^=+( FAILURES| ERRORS|$)/ { found = 1 } found' "$1" | tail -n "${CRM_RECHARGE_FAILURE_LINES:-300}"
	if ! grep -aqE '^=+( FAILURES| ERRORS|$)' "$1"; then tail -n 80 "$1"; fi
}

# run_logged TITLE OUTPUT COMMAND...: runs tests with their output in OUTPUT (and the log); shows it if they fail.
run_logged() {
	local title="$1" output="$2" status=0 ticker
	shift 2
	LOG="$output" show_progress "$title" &
	ticker=$!
	"$@" >"$output" 2>&1 </dev/null || status=$?
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	{ printf '\n== %s (exit %s)\n' "$title" "$status" && cat "$output"; } >>"$LOG"
	if [ "$status" -eq 124 ]; then warn "   $title: stopped after $LIMIT s; see where in the stack below"; fi
	return "$status"
}

run_domain_tier() {
	local output="$RESULTS/domain.txt"
	say "domain tier"
	# The hypothesis that Frappe's own development requirements hold: `bench run-tests` imports these tests with it.
	ensure_venv "pytest>=8" "hypothesis~=6.77.0"
	if ! run_logged "domain tests" "$output" env -C "$CHECKOUT" PYTHONDONTWRITEBYTECODE=1 \
		HYPOTHESIS_STORAGE_DIRECTORY="$CACHE/hypothesis" "${LIMITED[@]}" "$VENV/bin/python" -X faulthandler \
		-m pytest crm_recharge/domain dev/tests -p no:cacheprovider --junitxml "$RESULTS/domain.xml"; then
		show_failures "$output"
	fi
	tier_done domain junit "$RESULTS/domain.xml"
}

# A web server runs beside the bench tier: PDFs fetch their styles from it. Workers are the tests' own.
run_bench_tier() {
	local output="$RESULTS/bench.txt"
	say "bench tier"
	run_logged "bench tests" "$output" in_sites ../env/bin/python "$READABLE/dev/lib/stack.py" --site "$TEST_SITE" --web -- \
		"${LIMITED[@]}" "$BENCH/env/bin/python" -X faulthandler -m frappe.utils.bench_helper frappe --site "$TEST_SITE" \
		run-tests --app "$APP" || true
	if ! counts unittest "$output" >/dev/null || grep -aq '^FAILED' "$output"; then show_failures "$output"; fi
	tier_done bench unittest "$output"
}

has_browser_tests() { compgen -G "$CHECKOUT/crm_recharge/tests/browser/browser_*.py" >/dev/null; }

run_browser_tier() {
	local output="$RESULTS/browser.txt" report="$BENCH/logs/$APP-browser.xml"
	if ! has_browser_tests; then
		tier_not_run browser "no browser tests"
		return
	elif ! ensure_chromium; then
		tier_not_run browser "no chromium"
		return
	fi
	say "browser tier"
	as_bench rm -f "$report"
	if ! run_logged "browser tests" "$output" in_sites ../env/bin/python "$READABLE/dev/lib/stack.py" --site "$TEST_SITE" \
		--web --workers 1 -- env CHROMIUM="$CHROMIUM" PYTHONDONTWRITEBYTECODE=1 \
		"${LIMITED[@]}" "$BENCH/env/bin/python" -X faulthandler -m pytest \
		"$READABLE/crm_recharge/tests/browser" -o "python_files=browser_*.py" -p no:cacheprovider --junitxml "$report"; then
		show_failures "$output"
	fi
	tier_done browser junit "$report"
}
