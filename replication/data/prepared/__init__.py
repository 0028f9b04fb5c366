"""What is prepared from a data set once: stored images, statistics, verification."""
