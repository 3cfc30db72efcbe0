"""Training: data in, checkpoint out, resumable at any moment."""
