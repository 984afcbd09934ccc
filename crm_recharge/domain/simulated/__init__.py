"""The rules over a world in memory: storage that commits and forgets, and a gateway that can be made to fail.

Only storage, locks, queue, clock and gateway are made up here. What decides, charges, settles and books is the
domain itself. `world` and `transaction` hold rows, `performer` does the payment machine's effects one at a
time, `gateway` plays the card networks, `books` is the charge and threshold path, `site` runs it all in order.
"""
