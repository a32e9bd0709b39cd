"""Who is at the other end of a stream, and keys that nobody else has: Noise_XX with an identity bound to it."""
