"""Augmentation: random draws, views, and the order of the images."""

from replication.data.augment.draws import Draws, central, draw, draws_for

__all__ = ["Draws", "central", "draw", "draws_for"]
