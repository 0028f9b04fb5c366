"""Using a GPU for a few minutes: pack a plan of runs here, work through it there."""
