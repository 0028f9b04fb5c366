"""Data sets: files on the disk, where they come from, and what is prepared from them."""
