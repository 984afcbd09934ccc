"""The demo's story, in two halves: credits (demo_credits.py) and reorder reminders (demo_reorders.py)."""
