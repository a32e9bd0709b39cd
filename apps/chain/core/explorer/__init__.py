"""What people ask of a chain, answered from its store alone: pure, so that a folder and a node give the same answer."""
