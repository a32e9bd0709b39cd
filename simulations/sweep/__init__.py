"""Sweeps: one scenario at many values of some of its keys, for many seeds; `p2pnode swarm sweep`.

plan.py says which cells there are, run.py runs them over processes or machines, results.py keeps what came out,
figures.py and plot.py make a table and a picture of it.
"""
