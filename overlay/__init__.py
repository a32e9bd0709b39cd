"""The peer as a pure, deterministic state machine.

Nothing below this package opens a socket, reads a clock, rolls dice or starts a
thread: bytes and `Now` come in, effects go out. `p2pnode` runs one peer on a real
network, `simulations` runs thousands in virtual time, with this same code.
"""
