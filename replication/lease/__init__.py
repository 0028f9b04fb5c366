"""A GPU for some minutes: pack a plan of runs at home, work through it on a bare machine."""
