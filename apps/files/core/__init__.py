"""The pure part of file sharing: what a share is, what to ask whom, and whom to serve."""
