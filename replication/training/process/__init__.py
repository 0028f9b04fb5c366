"""The training process: numerics, memory, interruption, progress, its folder's lock."""
