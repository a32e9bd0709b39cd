"""The chain: one history of times, names, credits and evidence for a network (docs/protocol/chain.md)."""
