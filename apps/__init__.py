"""Applications of the overlay, each with a pure core and a shell. None exists yet."""
