"""Image files on disk: folder layouts, the index, decoding."""
