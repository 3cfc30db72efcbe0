"""Whether one engine may stand in for another: comparison, verdict, certificate."""
