"""File sharing in a swarm: files that exist nowhere, who wants them, and how they got them."""
