"""The rules over a world in memory: storage that commits and forgets, and a gateway that can be made to fail.

Only storage, locks, queue, clock and gateway are made up here. What decides, charges, settles and books is the
domain itself.

- `rows`, `world`, `queue`, `clock`: the database and its locks, the job queue, the time.
- `gateway`: the card networks, with cards by behaviour and faults on demand.
- `performer`: the machines' effects, one at a time; `books`: the charge and threshold path.
- `site`: all of it run in order, with workers and sweeper.
- `usage_file`, `report`, `plot`, `command`: the replay (domain/replay/) read, told, drawn and started.
- `simulation`, `rules`, `planted`, `simulate`: disorder drawn from a seed, and what must hold in it.
"""
