"""Pipelines from images to batches: stored squares, the reference pipeline, DALI."""
