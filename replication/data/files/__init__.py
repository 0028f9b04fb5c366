"""Image files on disk: layouts, the index, decoding, and whether files are unchanged."""
