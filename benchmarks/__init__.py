"""Measurements: one command each, real peers in one interleaved run, medians and ratios."""
