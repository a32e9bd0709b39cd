"""The chain: one history of times, names, credits and evidence that all nodes of a network agree on (docs/protocol/chain.md)."""
