"""What people see of a run: one HTML page that needs nothing else, or one picture.

    recorder (while it runs) -> data (one JSON-ready dict, bounded) -> plots -> svg + page | picture (PNG)

The dict is the run's memory: it lies in the page, in its download and in the last line of a trace, and `saved` reads
it back from each of them, so that every report can be made again.
"""
