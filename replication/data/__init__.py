"""Data sets: what is on the disk, how it is read, and the embedded synthetic set (section 2)."""
