"""Topics: every subscriber gets every message once, over a mesh of a few peers each."""
