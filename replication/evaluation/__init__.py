"""Evaluation of trained nets: errors over one view or ten, averages, comparisons.

Serves sections 4.1, 4.2 and 6.
"""
