"""What happens after the commit: background work, and telling others what has changed.

`work.py` says what a kind of work is; crm_recharge/background.py declares the app's own, other apps theirs by the hook
`crm_recharge_work`. `queue.py` enqueues, `sweep.py` finds what is due, `attempt.py` does it and keeps what failed.

What has changed is kept by `changes.py` and `events.py`; `telling.py` tells the listeners on the site, `webhooks.py` programs elsewhere.
"""
