"""Augmentation: random draws, views, and the order of the images."""
