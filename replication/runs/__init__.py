"""Training runs and their stored results."""
