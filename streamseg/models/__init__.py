"""Networks with their tails: from frames to instances, one folder per family."""
