"""The rules that removals.py takes out. Each text stands once in its file; a test sees to that."""

from crm_recharge.domain.simulated.removals import Removal

THRESHOLD, CAPS, VIEWS, CARDS = "threshold.py", "caps.py", "views.py", "cards.py"
PAYMENT, HEARING, HELD, FIT = "payment.py", "hearing.py", "held.py", "fit.py"
BOOK, REFUND, TAKEBACK, DISPUTE = "book.py", "refund.py", "takeback.py", "dispute.py"
RECONCILE, ANOMALY = "reconcile.py", "anomaly.py"

REMOVALS = (
	# -- whether a recharge starts -------------------------------------------------------------------------
	Removal("a hold stops auto-recharge", THRESHOLD, "if view.held_because:", "if False:"),
	Removal("switched off is off", THRESHOLD, "if not view.enabled:", "if False:"),
	Removal("one open recharge", THRESHOLD, "if view.open_recharge:", "if False:"),
	Removal("a pause stops auto-recharge", THRESHOLD, "if view.paused_because:", "if False:"),
	Removal("no recharge without a card", THRESHOLD, "if view.usable_cards < 1:", "if False:"),
	Removal("only usage triggers", THRESHOLD, "if not view.by_usage:", "if False:"),
	Removal(
		"no expiry triggers",
		THRESHOLD,
		"TRIGGERS = (USAGE, RECHARGE)",
		'TRIGGERS = (USAGE, RECHARGE, "Expiry", "Adjustment")',
	),
	Removal("a payment's minimum", THRESHOLD, "if amount < view.limits.minimum:", "if False:"),
	Removal(
		"a payment's maximum",
		THRESHOLD,
		"return min(gap, payable_at_most(view.limits.maximum, view.currency))",
		"return gap",
	),
	Removal(
		"no debt is paid off by one payment after the other",
		THRESHOLD,
		"if view.balance < -view.overdraft and view.balance + amount <= view.falls_below:",
		"if False:",
	),
	Removal("caps", THRESHOLD, "if not cap.leaves_room(amount):", "if False:"),
	Removal(
		"a cap counts this charge",
		THRESHOLD,
		"return self.used + (1 if self.is_count else amount) <= self.limit",
		"return self.used < self.limit",
	),
	Removal(
		"at the level counts",
		THRESHOLD,
		"return not more_follow and balance <= falls_below",
		"return not more_follow and balance < falls_below",
	),
	Removal(
		"a recharge for a refused charge",
		THRESHOLD,
		"return view.balance <= view.falls_below or falls_short(view)",
		"return False",
	),
	Removal(
		"no recharge for what it would not let through",
		THRESHOLD,
		"view.balance < view.refused <= view.recharge_up_to",
		"view.balance < view.refused",
	),
	Removal(
		"unusual usage pauses",
		THRESHOLD,
		"if decision.code != CHARGED or not (because := unusual()):",
		"if decision.code != CHARGED or not (because := None):",
	),
	Removal(
		"the whole gap",
		THRESHOLD,
		"gap = payable(view.recharge_up_to - view.balance, view.currency)",
		"gap = payable(view.recharge_up_to - view.falls_below, view.currency)",
	),
	Removal(
		"unusual is many times the usual day",
		ANOMALY,
		"return last_24_hours > factor * usual and last_24_hours > max(list(days)[-DAYS:])",
		"return last_24_hours > usual and last_24_hours > max(list(days)[-DAYS:])",
	),
	Removal(
		"unusual is more than any day",
		ANOMALY,
		"return last_24_hours > factor * usual and last_24_hours > max(list(days)[-DAYS:])",
		"return last_24_hours > factor * usual",
	),
	Removal(
		"what a person has seen is not unusual",
		ANOMALY,
		"return max(start, seen_until) if seen_until else start",
		"return start",
	),
	# -- caps --------------------------------------------------------------------------------------------------
	Removal(
		"caps count what is in flight",
		CAPS,
		"if captured is None or captured > start",
		"if captured is not None and captured > start",
	),
	Removal(
		"the hour", CAPS, "return now - timedelta(hours=1), now", "return now - timedelta(minutes=20), now"
	),
	Removal("days begin where the account is", CAPS, "day = moments.day_of(now, zone)", "day = now.date()"),
	Removal("the month", CAPS, "first = day.replace(day=1)", "first = day"),
	Removal(
		"caps of a setting count automatic recharges",
		VIEWS,
		"automatic = [row for row in found if row.origin == AUTOMATIC]",
		"automatic = found",
	),
	Removal(
		"the account's own caps",
		VIEWS,
		"return of_setting + account_caps(account, found, now)",
		"return of_setting",
	),
	Removal(
		"the account's own caps count all recharges",
		VIEWS,
		"return of_setting + account_caps(account, found, now)",
		"return of_setting + account_caps(account, automatic, now)",
	),
	Removal(
		"what failed counts against no cap",
		VIEWS,
		"if row.settled_at or row.status in payment.IN_FLIGHT",
		"if True",
	),
	# -- what is seen of the account -------------------------------------------------------------------------
	Removal(
		"a hold is seen",
		VIEWS,
		"return account.held_because or (account.status if account.status != book.ACTIVE else None)",
		"return account.status if account.status != book.ACTIVE else None",
	),
	Removal(
		"an account's status is seen",
		VIEWS,
		"return account.held_because or (account.status if account.status != book.ACTIVE else None)",
		"return account.held_because",
	),
	Removal(
		"no card is asked for a held account",
		PAYMENT,
		"if view.held_because and view.trigger == AUTOMATIC:",
		"if False:",
	),
	Removal(
		"what a person starts goes on though held",
		PAYMENT,
		"if view.held_because and view.trigger == AUTOMATIC:",
		"if view.held_because:",
	),
	# -- cards -----------------------------------------------------------------------------------------------
	Removal(
		"its own cards",
		CARDS,
		"return tuple(card for card in cards if card.account == account)",
		"return cards",
	),
	Removal("cards only", CARDS, 'if card.kind != "card":', "if False:"),
	Removal(
		"no expired card",
		CARDS,
		"if card.status == EXPIRED or is_expired(card.exp_month, card.exp_year, today):",
		"if card.status == EXPIRED:",
	),
	Removal(
		"good until the last day of its month",
		CARDS,
		"return (today.year, today.month) > (exp_year, exp_month)",
		"return (today.year, today.month) >= (exp_year, exp_month)",
	),
	Removal("a lost card is not asked again", CARDS, "if card.status != ACTIVE:", "if False:"),
	Removal("a lost card is marked", CARDS, "DeclineClass.PERMANENT: DECLINED,", ""),
	Removal("the networks' limits", CARDS, "if card.declines_30d >= NETWORK_LIMIT:", "if False:"),
	Removal("declines are counted by the card itself", VIEWS, "if card.fingerprint:", "if False:"),
	Removal("declines of thirty days", VIEWS, "and attempt.created_at > now - NETWORK_WINDOW", "and True"),
	Removal("the card that was chosen", VIEWS, "names = [chosen] if chosen else listed", "names = listed"),
	Removal(
		"cards in their order",
		VIEWS,
		"names = [chosen] if chosen else listed",
		"names = [chosen] if chosen else reversed(list(listed))",
	),
	# -- the payment machine -----------------------------------------------------------------------------------
	Removal(
		"the lease",
		PAYMENT,
		"elif view.lease_until and view.lease_until > now and view.lease_owner != worker:",
		"elif False:",
	),
	Removal(
		"a lease ends",
		PAYMENT,
		"elif view.lease_until and view.lease_until > now and view.lease_owner != worker:",
		"elif view.lease_owner and view.lease_owner != worker:",
	),
	Removal(
		"who has lost the lease stops",
		PAYMENT,
		"if view is None or view.status not in CLAIMED or view.lease_owner != worker:\n		yield from effects.Rollback()\n		return None",
		"if view is None:\n		yield from effects.Rollback()\n		return None",
	),
	Removal(
		"who has lost the lease writes no doubts",
		PAYMENT,
		'if view is None or view.status not in CLAIMED or view.lease_owner != worker:\n		yield from effects.Rollback()\n		return "lost"',
		'if view is None:\n		yield from effects.Rollback()\n		return "lost"',
	),
	Removal(
		"only what is to be worked on is claimed", PAYMENT, "elif view.status not in WORKABLE:", "elif False:"
	),
	Removal(
		"undecided first",
		PAYMENT,
		"if attempt.status in OPEN_ATTEMPT:\n			return _ask(attempt, now)",
		"if False:\n			return _ask(attempt, now)",
	),
	Removal(
		"closed before the next card", PAYMENT, "if attempt.intent_open and attempt.intent:", "if False:"
	),
	Removal(
		"a restored recharge is searched for",
		PAYMENT,
		"return view.created if view.created is not None and now - view.created > REPLAY_WINDOW else None",
		"return None",
	),
	Removal(
		"errors end",
		PAYMENT,
		"if len(errors) >= ERRORS_BEFORE_GIVING_UP or any(a.code in NEVER_CHARGED for a in errors):",
		"if False:",
	),
	Removal(
		"what was never charged is asked again",
		PAYMENT,
		"tried = {a.card for a in view.attempts if a.status not in (ERROR, NEVER_HAPPENED)}",
		"tried = {a.card for a in view.attempts}",
	),
	Removal("each card once", PAYMENT, "if card.name in tried:", "if False:"),
	Removal(
		"the card holder is waited for",
		PAYMENT,
		"return GiveUp(ACTION_REQUIRED if needs_person else FAILED)",
		"return GiveUp(FAILED)",
	),
	Removal(
		"who did not come is not waited for again",
		PAYMENT,
		"a.status == NEEDS_AUTHENTICATION and now - a.created <= ACTION_WINDOW for a in view.attempts",
		"a.status == NEEDS_AUTHENTICATION for a in view.attempts",
	),
	Removal(
		"a key that is too old is not asked", PAYMENT, "or now - attempt.created > REPLAY_WINDOW", "or False"
	),
	Removal(
		"a worker that has slept asks nothing",
		PAYMENT,
		"until = attempt.created + REPLAY_WINDOW",
		"until = None",
	),
	Removal(
		"a refused request proves nothing",
		PAYMENT,
		'values |= {"status": REFUSED, "next_ask_at": None}',
		'values |= {"status": ERROR, "next_ask_at": None}',
	),
	Removal(
		"a capture counts whoever holds the lease",
		PAYMENT,
		'if answer is not None and answer.outcome is Outcome.SUCCEEDED:\n		yield from effects.UpdateAttempt(step.attempt.name, _answered(step, answer, now) | {"status": PAID})\n		word = yield from settle(with_paid(view, step.attempt.name, answer), answer, now)\n		yield from effects.Commit()\n		return word\n	if view is None or view.status not in CLAIMED',
		'if answer is not None and answer.outcome is Outcome.SUCCEEDED and view and view.lease_owner == worker:\n		yield from effects.UpdateAttempt(step.attempt.name, _answered(step, answer, now) | {"status": PAID})\n		word = yield from settle(with_paid(view, step.attempt.name, answer), answer, now)\n		yield from effects.Commit()\n		return word\n	if view is None or view.status not in CLAIMED',
	),
	Removal(
		"a declined payment may still capture",
		PAYMENT,
		'may_capture = bool(values["intent"]) and answer.intent_open',
		"may_capture = False",
	),
	Removal(
		"a payment that waits for its card holder may still capture",
		PAYMENT,
		'"intent_open": bool(values["intent"]),',
		'"intent_open": False,',
	),
	Removal(
		"the bank's word on a card is written down", PAYMENT, "if new_status and attempt.card:", "if False:"
	),
	Removal(
		"a time-out is no decline",
		PAYMENT,
		'values |= {"status": status} | (yield from _later(view, step, answer, now))',
		'values |= {"status": DECLINED} | (yield from _later(view, step, answer, now))',
	),
	Removal("what goes on for long is told", PAYMENT, "if asks + 1 == ASKS_BEFORE_TELLING:", "if False:"),
	Removal(
		"a failure switches off",
		PAYMENT,
		"if view.trigger == AUTOMATIC:\n		yield from effects.DisableAutoRecharge(view.account, reason, view.name)",
		"if False:\n		yield from effects.DisableAutoRecharge(view.account, reason, view.name)",
	),
	Removal(
		"a failure is told",
		PAYMENT,
		'yield from effects.Notify(ALL_CARDS_FAILED, view.name, {"reason": reason})',
		"return",
	),
	Removal("the card holder is told", PAYMENT, "yield from effects.Notify(NEEDS_ACTION, view.name)", "pass"),
	Removal(
		"what failed blocks nothing",
		PAYMENT,
		"reason = GATEWAY_GAVE_ERRORS if errors >= ERRORS_BEFORE_GIVING_UP else NO_CARD_WORKED\n	yield from effects.ClearOpenRecharge(view.account, view.name)",
		"reason = GATEWAY_GAVE_ERRORS if errors >= ERRORS_BEFORE_GIVING_UP else NO_CARD_WORKED",
	),
	Removal(
		"what is paid blocks nothing",
		PAYMENT,
		"is_open = _still_open(view, answer) is not None\n	yield from effects.ClearOpenRecharge(view.account, view.name)",
		"is_open = _still_open(view, answer) is not None",
	),
	Removal(
		"what is still open is closed before a failure",
		PAYMENT,
		"if _still_open(view) or is_old(view, now):",
		"if False:",
	),
	Removal(
		"only what waits is called off",
		PAYMENT,
		"return view.status == ACTION_REQUIRED or (view.status == QUEUED and not asked)",
		"return view.status in NOT_ENDED",
	),
	Removal(
		"what is called off is closed",
		PAYMENT,
		'"next_try_at": now if is_open else None,\n		},\n	)\n	yield from effects.ClearOpenRecharge(view.account, view.name)',
		'"next_try_at": None,\n		},\n	)\n	yield from effects.ClearOpenRecharge(view.account, view.name)',
	),
	Removal(
		"a payment pays once",
		PAYMENT,
		'if view.settled_intent == answer.intent:\n		return "already settled"',
		'if False:\n		return "already settled"',
	),
	Removal(
		"a capture must fit",
		PAYMENT,
		"if wrong := fit.misfits(view.due, answer):\n		yield from _hold(view, answer, wrong)",
		"if wrong := ():\n		yield from _hold(view, answer, wrong)",
	),
	Removal(
		"a second capture pays nothing",
		PAYMENT,
		"if view.settled_intent or view.status not in UNPAID:",
		"if False:",
	),
	Removal(
		"no card is asked while money is held",
		PAYMENT,
		"if own and view.status in (*WORKABLE, ACTION_REQUIRED):",
		"if False:",
	),
	Removal(
		"a payment that does not fit is listed",
		PAYMENT,
		"yield from _difference(view, answer, wrong)\n	own =",
		"own =",
	),
	Removal(
		"what is found must fit",
		PAYMENT,
		"if wrong := fit.misfits(view.due, answer):\n			# None of the",
		"if wrong := ():\n			# None of the",
	),
	Removal(
		"credits for what is captured",
		PAYMENT,
		"yield from effects.PostCredits(view.account, view.name, answer.intent, view.amount)",
		"pass",
	),
	# -- whether a payment fits ----------------------------------------------------------------------------------
	Removal("of the account's own customer", FIT, "answer.customer in due.customers)", "True)"),
	Removal("in the account's currency", FIT, "answer.currency == due.currency)", "True)"),
	Removal(
		"of the amount that was asked for",
		FIT,
		"_plain(answer.amount), answer.amount == due.amount)",
		"_plain(answer.amount), True)",
	),
	Removal("decided once", HELD, "if not is_open:", "if False:"),
	Removal(
		"no second credit for a recharge that is paid",
		HELD,
		"if view.settled_intent or view.status not in payment.UNPAID:",
		"if False:",
	),
	Removal(
		"a held recharge ends with the decision",
		HELD,
		"yield from payment.end_unpaid(view, payment.FAILED, now)",
		"pass",
	),
	Removal("news of a capture settles it", HEARING, "if answer.outcome is Outcome.SUCCEEDED:", "if False:"),
	Removal(
		"an attempt's own capture",
		HEARING,
		"return attempt.intent == answer.intent or not fit.misfits(view.due, answer)",
		"return True",
	),
	# -- the book ------------------------------------------------------------------------------------------------
	Removal("no usage beyond the credits", BOOK, "if amount > available:", "if False:"),
	Removal("overdraft", BOOK, "available = self.balance + self.overdraft_limit", "available = self.balance"),
	Removal("no usage of a disabled account", BOOK, "if self.status == DISABLED:", "if False:"),
	Removal(
		"lowest priority number first",
		BOOK,
		"return (self.priority, self.expires_at is None,",
		"return (0, self.expires_at is None,",
	),
	Removal(
		"what expires first is used first",
		BOOK,
		"return (self.priority, self.expires_at is None, self.expires_at or datetime.max, self.sequence)",
		"return (self.priority, self.sequence)",
	),
	Removal(
		"the oldest first",
		BOOK,
		"self.expires_at or datetime.max, self.sequence)",
		"self.expires_at or datetime.max, -self.sequence)",
	),
	Removal("own lot first", BOOK, "if first is not None and first.remaining > 0:", "if False:"),
	Removal(
		"what is taken back is counted",
		BOOK,
		"lot.returned += amount\n			lot.changed = True\n		return self._post(entry_type, -amount",
		"pass\n		return self._post(entry_type, -amount",
	),
	Removal(
		"restored to own lots",
		BOOK,
		"back = min(drawn, left, source.room) if source else ZERO",
		"back = ZERO",
	),
	Removal(
		"a lot holds no more than its payment has left",
		BOOK,
		"return ZERO if self.closed else max(ZERO, self.original - self.returned - self.remaining)",
		"return self.original",
	),
	Removal(
		"a debt is paid first", BOOK, "return max(ZERO, amount - max(ZERO, -self.balance))", "return amount"
	),
	Removal(
		"expiry",
		BOOK,
		"due = [x for x in self.lots.values() if x.remaining > 0 and x.expires_at and is_past(x.expires_at)]",
		"due = []",
	),
	Removal(
		"undone usage returns where it came from",
		BOOK,
		"back = min(-drawn, left, lot.room) if lot else ZERO",
		"back = ZERO",
	),
	# -- refunds ---------------------------------------------------------------------------------------------------
	Removal("at most what is unused", REFUND, "if amount > left:", "if False:"),
	Removal(
		"what is disputed is not refunded", REFUND, "if paid.status in (DISPUTED, CHARGED_BACK):", "if False:"
	),
	Removal(
		"one request, one refund",
		REFUND,
		"if known:\n		yield from effects.Rollback()\n		return known",
		"if False:\n		yield from effects.Rollback()\n		return known",
	),
	Removal(
		"credits are set aside first",
		REFUND,
		"yield from level(paid.with_refund(view))\n	yield from effects.EnqueueAfterCommit(CARRY_OUT, refund)",
		"yield from effects.EnqueueAfterCommit(CARRY_OUT, refund)",
	),
	Removal(
		"a refused refund is looked for",
		REFUND,
		"if step is Step.ASK and answer is not None and answer.outcome is RefundOutcome.REFUSED:",
		"if False:",
	),
	Removal(
		"a refund's key that is too old is looked up",
		REFUND,
		"if refund.asked_at and now - refund.asked_at > REPLAY_WINDOW:",
		"if False:",
	),
	Removal(
		"a second capture is sent back however often it is refused",
		REFUND,
		"if view.kind in (DUPLICATE, ORPHAN) and refusal.code not in NEVER:",
		"if False:",
	),
	Removal(
		"old answers change nothing",
		REFUND,
		"return bool(known_there) and _ORDER.index(status) < _ORDER.index(refund.status)",
		"return False",
	),
	Removal(
		"a refund that failed gives back",
		REFUND,
		"paid = yield from level(paid.with_refund(view))\n		yield from update_recharge(paid)",
		"yield from update_recharge(paid.with_refund(view))",
	),
	Removal(
		"a refund on its way is asked about",
		REFUND,
		'"next_ask_at": now + CHECK_PENDING if view.status == ASKED else None,',
		'"next_ask_at": now + 1000 * CHECK_PENDING if view.status == ASKED else None,',
	),
	Removal(
		"a refund made at the gateway is written down",
		REFUND,
		"view = yield from _made_at_gateway(account, recharge, answer)",
		"view = None",
	),
	Removal(
		"a refund that was asked for here is not written down twice",
		REFUND,
		"lambda r: r.name == asked,",
		"lambda r: False,",
	),
	# -- what is taken back ------------------------------------------------------------------------------------------
	Removal(
		"a refund of another capture claims nothing",
		TAKEBACK,
		"refunds = [r for r in paid.refunds if r.intent == paid.intent]",
		"refunds = list(paid.refunds)",
	),
	Removal(
		"a dispute of another capture claims nothing",
		TAKEBACK,
		"disputes = [d for d in paid.disputes if d.status in CLAIMING and d.intent == paid.intent]",
		"disputes = [d for d in paid.disputes if d.status in CLAIMING]",
	),
	Removal(
		"a dispute that is won claims nothing",
		TAKEBACK,
		"disputes = [d for d in paid.disputes if d.status in CLAIMING and d.intent == paid.intent]",
		"disputes = [d for d in paid.disputes if d.intent == paid.intent]",
	),
	Removal(
		"no claim beyond what was bought",
		TAKEBACK,
		"found[claim.name] = min(claim.amount, left) if claim.currency == paid.currency else left",
		"found[claim.name] = claim.amount",
	),
	Removal(
		"a claim holds auto-recharge",
		TAKEBACK,
		"if want[claim.name] > claim.taken and _always_holds(claim):",
		"if False:",
	),
	Removal(
		"a refund down to the level holds",
		TAKEBACK,
		'return balance_after <= Decimal(setting["falls_below"])',
		"return False",
	),
	Removal(
		"what is given back comes first",
		TAKEBACK,
		"key=lambda c: (want[c.name] > c.taken, c.name)",
		"key=lambda c: (want[c.name] <= c.taken, c.name)",
	),
	Removal(
		"a paid recharge says what was refunded",
		TAKEBACK,
		"if (status, refunded) != (paid.status, paid.refunded):",
		"if False:",
	),
	# -- disputes ----------------------------------------------------------------------------------------------------
	Removal(
		"an answer that was overtaken is not used",
		DISPUTE,
		"if (known.heard if known else 0) != heard:",
		"if False:",
	),
	Removal(
		"a dispute stops auto-recharge",
		DISPUTE,
		"yield from _stop(paid, view, now)\n		# One",
		"pass\n		# One",
	),
	Removal("a dispute calls off what no card was asked for", DISPUTE, "if paid.unasked:", "if False:"),
	Removal(
		"a dispute flags the account",
		DISPUTE,
		"yield from effects.FlagAccount(paid.account, DISPUTED_ACCOUNT, view.name)",
		"pass",
	),
	Removal(
		"the flag is taken away when the dispute is won",
		DISPUTE,
		"if view.status == WON and paid.account_status == DISPUTED_ACCOUNT and not _unresolved(paid, view):",
		"if False:",
	),
	Removal(
		"the flag stays while another dispute is open",
		DISPUTE,
		"if view.status == WON and paid.account_status == DISPUTED_ACCOUNT and not _unresolved(paid, view):",
		"if view.status == WON and paid.account_status == DISPUTED_ACCOUNT:",
	),
	Removal(
		"a changed amount is claimed",
		DISPUTE,
		"status=status_of(answer),\n		amount=answer.amount,",
		"status=status_of(answer),\n		amount=start.amount,",
	),
	Removal("a dispute's fees", DISPUTE, '"fees": answer.fees,', '"fees": ZERO,'),
	Removal(
		"an inquiry claims nothing", DISPUTE, "return INQUIRY if answer.warning else OPEN", "return OPEN"
	),
	Removal(
		"a fraud warning holds",
		DISPUTE,
		"yield from _stop(paid, view, now)\n	yield from effects.Notify(FRAUD_WARNING",
		"yield from effects.Notify(FRAUD_WARNING",
	),
	# -- the reconciler ------------------------------------------------------------------------------------------------
	Removal(
		"a capture that was missed is settled",
		RECONCILE,
		'return Verdict(SETTLE, intent, f"captured, but recharge {known.recharge} is {known.status}")',
		"return Verdict(AGREES, intent)",
	),
	Removal("a second capture is found", RECONCILE, "if known.settled_intent:", "if False:"),
	Removal(
		"what is written down already is left alone", RECONCILE, "if known.refund_arranged:", "if False:"
	),
)
