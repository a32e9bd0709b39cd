"""Benchmarks against the `kademlia` package in the same run (docs/benchmarks.md).

    python -m tests.benchmarks              all of them; writes results/latest.json and the table of the document
    python -m tests.benchmarks.rpc          one of them; JSON lines: a line a run, then the medians and rows

Absolute figures drift on shared machines, so each row is a ratio of medians of alternating runs
(ours, theirs, ours, ...), each run a process of its own.
"""
