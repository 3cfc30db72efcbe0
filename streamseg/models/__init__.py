"""Networks: from a normalised picture to raw heads. Everything after them is in `streamseg.export`."""
