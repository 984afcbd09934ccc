"""Times come from the site's clock, or are moments that say their zone; the database's clock is nobody's."""

import re
from pathlib import Path

APP = Path(__file__).resolve().parents[2]
OTHER_CLOCKS = re.compile(
	r"\b(NOW|CURDATE|CURTIME|SYSDATE|UTC_TIMESTAMP|UNIX_TIMESTAMP|LOCALTIME)\(\s*\)|\bCURRENT_(TIMESTAMP|DATE|TIME)\b"
	r"|import .*\b(Now|CurDate|CurTimestamp)\b"
	r"|\bdatetime\.(now\(\s*\)|utcnow\(|today\()|\bdate\.today\(|\btime\.time\("
)
# Moments, compared with moments or with nothing.
ALLOWED = {
	"gateway/stripe/webhooks.py": "the age of a signature, which tells a moment",
	"reorder/learning/bulk.py": "the beginning of names that sort by when they were made",
}


def test_no_other_clock_is_read():
	found = [
		f"{path.relative_to(APP)}, line {number}: {line.strip()}"
		for path in sorted(APP.rglob("*.py"))
		if "tests" not in path.parts and "simulated" not in path.parts and not path.name.startswith("test_")
		for number, line in enumerate(path.read_text().splitlines(), 1)
		if OTHER_CLOCKS.search(line) and str(path.relative_to(APP)) not in ALLOWED
	]
	assert not found


def test_what_is_looked_for_is_found():
	for line in (
		"WHERE `posted_at` > NOW() - INTERVAL 2 DAY",
		"from frappe.query_builder.functions import Cast, Now",
		"at = datetime.now()",
		"day = date.today()",
		"since = time.time()",
	):
		assert OTHER_CLOCKS.search(line), line
	for line in ("now = now_datetime()", "datetime.now(timezone.utc)", "clock.now()", "yield effects.Now()"):
		assert not OTHER_CLOCKS.search(line), line
