"""What several experiments share: baselines, comparisons, images."""
