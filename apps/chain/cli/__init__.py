"""Command lines of the chain: `chain-explorer` reads it, `p2pnode chain` writes."""
