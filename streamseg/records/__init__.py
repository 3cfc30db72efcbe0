"""What a run has recorded, read again and written in other formats."""
