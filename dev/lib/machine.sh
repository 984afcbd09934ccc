# shellcheck shell=bash disable=SC2016
ensure_machine() { :; }
ensure_bench() { is_bench "$BENCH" || no_bench "no bench at $BENCH"; }
ensure_packages() { :; }
find_chromium() {
	local candidate
	for candidate in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
		if [ -n "$candidate" ] && as_bench "$candidate" --version >/dev/null 2>&1; then
			CHROMIUM="$(as_bench bash -c 'command -v "$1"' _ "$candidate")"
			return
		fi
	done
	return 1
}
