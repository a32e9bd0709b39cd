"""One module a verb or noun; what is heavy is imported inside the functions that need it."""
