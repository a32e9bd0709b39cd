"""The pure part of the chain: what a block is, which rules it keeps, and which history is the one that counts."""
