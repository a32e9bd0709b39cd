"""Many peers in virtual time: the same cores as in a node, on a network made of numbers.

One seed gives one course of events, on every machine: all order comes from (time, source, counter),
all chance from generators of this seed, and nothing reads a clock.
"""
