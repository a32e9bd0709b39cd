"""Byzantine peers: what a malicious node may do, as changed handlers and mutators of bytes; never in the product."""
