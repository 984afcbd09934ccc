"""Who may see and write which record, whatever path leads to it.

`records` declares what hangs on what; lists, single records and the guard of writes follow from it.
"""
