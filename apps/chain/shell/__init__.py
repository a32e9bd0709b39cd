"""The chain's disk: a store in sqlite3, and views of it for other processes."""
