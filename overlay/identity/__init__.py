"""Who a peer is and which network it belongs to: keys, ids, puzzles, networks."""
