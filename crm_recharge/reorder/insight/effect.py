"""What reminding changed: reminded customers against those held out at random."""

import frappe
from frappe import _
from frappe.utils import add_days, cint, flt, now_datetime

from crm_recharge.credits.money import exact
from crm_recharge.domain.reorder.uplift import LEAST_CUSTOMERS, Group, Uplift, Verdict, uplift
from crm_recharge.reorder import words
from crm_recharge.reorder.insight.funnel import BY, conditions

USUAL_WINDOW = 30

# Who an anonymous row belonged to is not known any more. The rows of one erased customer share a mark. Compared
# as bytes, which sorts a million rows three times as fast as the rules of a language.
_CUSTOMER = (
	"CAST(COALESCE(NULLIF(`tabReorder Message`.`customer`, ''), NULLIF(`tabReorder Message`.`customer_name`, ''),"
	" `tabReorder Message`.`name`) AS BINARY)"
)


def effect(filters: dict) -> list[dict]:
	"""One row a period, rule or item group, the total first: key, Uplift, cycles still within their window.

	A cycle is one item due once. It counts when the window to buy in is over, bought when the item was bought
	within it, by whatever way: the same measure for both groups. Failed mails count as reminded.

	Args:
		filters: `by` ("Total", "Month", "Rule", "Item Group"), and what the funnel takes; `worth` (percentage
			points that matter, default 5).
	"""
	by = filters.get("by")
	worth = min(max(flt(filters.get("worth")) or 5.0, 0.1), 99.0) / 100
	rows = [_compare(None, _sums(filters, None), worth)]
	if by in BY:
		found = _sums(filters, BY[by])
		rows += [
			_compare(key, {k: v for k, v in found.items() if k[0] == key}, worth)
			for key in sorted({k for k, _ in found})
		]
	return rows


def window_days() -> int:
	"""Days after a reminder in which a purchase counts."""
	return cint(frappe.db.get_single_value("Reorder Settings", "conversion_window_days")) or USUAL_WINDOW


def _sums(filters: dict, key: str | None) -> dict:
	"""(key, kind) → (Group of what is through, cycles still open)."""
	where, values = conditions(filters)
	days = window_days()
	# A day more: the last day of the window is still the customer's.
	through = add_days(now_datetime(), -days - 1)
	# nosemgrep: frappe-sql-format-injection -- the key is a constant; conditions hold parameters alone
	rows = frappe.db.sql(
		f"""SELECT `key`, `kind`, SUM(`n` > 0) AS `customers`, SUM(`n`) AS `n`, SUM(`w`) AS `w`,
			SUM(`w` * `w`) AS `ww`, SUM(`n` * `w`) AS `nw`, SUM(`n` * `n`) AS `nn`, SUM(`open`) AS `open`
		FROM (
			SELECT {key or "''"} AS `key`, `tabReorder Message`.`kind`, {_CUSTOMER} AS `who`,
				SUM(`tabReorder Message`.`sent_at` < %(through)s) AS `n`,
				SUM(`tabReorder Message`.`sent_at` < %(through)s AND `i`.`won` AND `i`.`won_days` <= %(days)s) AS `w`,
				SUM(`tabReorder Message`.`sent_at` >= %(through)s) AS `open`
			FROM `tabReorder Message` JOIN `tabReorder Message Item` `i`
				ON `i`.`parent` = `tabReorder Message`.`name` AND `i`.`parenttype` = 'Reorder Message'
			WHERE {where} AND `tabReorder Message`.`kind` IN ('Reminded', 'Held Out')
			GROUP BY `key`, `tabReorder Message`.`kind`, `who`
		) `customers` GROUP BY `key`, `kind`""",
		values | {"through": through, "days": days},
		as_dict=True,
	)
	return {
		(row.key, row.kind): (
			Group(*(int(row[name] or 0) for name in ("customers", "n", "w", "ww", "nw", "nn"))),
			int(row.open or 0),
		)
		for row in rows
	}


def _compare(key: str | None, sums: dict, worth: float) -> dict:
	groups = {kind: found for (_key, kind), found in sums.items()}
	reminded, open_reminded = groups.get("Reminded", (Group(), 0))
	held_out, open_held_out = groups.get("Held Out", (Group(), 0))
	return {
		"key": key,
		"uplift": uplift(reminded, held_out, worth=worth),
		"open": open_reminded + open_held_out,
	}


def sentence(found: Uplift, still_open: int = 0) -> str:
	"""What may be said, in a plain sentence."""
	text = _MEANING[found.verdict](found)
	if still_open:
		text += " " + words.counted(
			still_open,
			_("1 more reminder or held-out cycle is still within its {1}."),
			_("{0} more reminders and held-out cycles are still within their {1}."),
		).replace("{1}", words.days(window_days()))
	return text


def _rates(found: Uplift) -> str:
	return _("bought again in {0} % of cases when reminded and in {1} % when held out").format(
		_share(found.reminded.rate), _share(found.held_out.rate)
	)


def _range(found: Uplift) -> str:
	return _("between {0} and {1} points, with 95 % confidence").format(
		_signed(found.low), _signed(found.high)
	)


def _share(value: float) -> str:
	return words.rounded(100 * value, 1)


def _signed(value: float) -> str:
	return ("+" if value >= 0 else "") + words.rounded(100 * value, 1)


def _nobody(found: Uplift) -> str:
	if found.reminded.cycles:
		return _("Too early to say: no customer who is held out has been through the time to buy yet.")
	if found.held_out.cycles:
		return _("Too early to say: no customer who was reminded has been through the time to buy yet.")
	return _("Too early to say: no reminder has been through its {0} yet.").format(words.days(window_days()))


def _too_few(found: Uplift) -> str:
	return _("Too early to say: {0} reminded and {1} held out; at least {2} of each are needed.").format(
		words.customers(found.reminded.customers), words.number(found.held_out.customers), LEAST_CUSTOMERS
	)


def _too_early(found: Uplift) -> str:
	text = _("Too early to say: customers {0}; the difference may lie {1}.").format(
		_rates(found), _range(found)
	)
	if found.needed_held_out and found.needed_held_out > found.held_out.customers:
		text += " " + _(
			"To see a difference of {0} percentage points, about {1} held out are needed (now {2}), and {3} reminded (now {4})."
		).format(
			words.number(round(exact(100 * found.worth), 1)),
			words.customers(found.needed_held_out),
			words.number(found.held_out.customers),
			words.number(found.needed_reminded),
			words.number(found.reminded.customers),
		)
	return text


def _no_difference(found: Uplift) -> str:
	return _("No difference worth speaking of: customers {0}; it lies {1}.").format(
		_rates(found), _range(found)
	)


def _more(found: Uplift) -> str:
	return _("Reminding works: customers {0}; the difference lies {1}.").format(_rates(found), _range(found))


def _less(found: Uplift) -> str:
	return _("Reminding does harm: customers {0}; the difference lies {1}.").format(
		_rates(found), _range(found)
	)


_MEANING = {
	Verdict.NOBODY: _nobody,
	Verdict.TOO_FEW: _too_few,
	Verdict.TOO_EARLY: _too_early,
	Verdict.NO_DIFFERENCE: _no_difference,
	Verdict.MORE: _more,
	Verdict.LESS: _less,
}
