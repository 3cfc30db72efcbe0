"""Published weights: what there is, under which licence, and a safe way to the user's disk."""
