"""Training on several processes: towers on ranks, data-parallel copies."""
