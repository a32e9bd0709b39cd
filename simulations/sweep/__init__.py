"""Sweeps: one scenario at many values of some of its keys, for many seeds; `p2pnode swarm sweep`.

plan.py says which cells there are, run.py runs them over processes of this machine and over_dask.py over others,
rows.py says what each gave, results.py keeps it, figures.py and plot.py make a table and a picture of it.
"""
