"""Which peers are served, and what is observed of them."""
