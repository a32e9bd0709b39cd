"""The small scheduler inside the core, and the ports through which it meets the world."""
