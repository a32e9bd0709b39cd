"""The chain in a swarm: who mines how fast, what is paid, and what became of it."""
