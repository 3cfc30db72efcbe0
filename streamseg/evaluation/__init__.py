"""How good masks and identities are, against ground truth."""
