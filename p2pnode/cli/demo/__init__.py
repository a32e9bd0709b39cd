"""`p2pnode demo`: real peers as processes on loopback, and a tour that uses them as anybody would."""
