"""An example: a chat in twenty lines. docs/tutorial.md builds it, runs it and breaks its network."""
