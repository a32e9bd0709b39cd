"""`chain-explorer`: look into the chain. apps.chain.core.explorer answers questions; here is how answers look."""
