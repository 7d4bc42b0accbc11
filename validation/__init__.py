"""Slow statistical studies: scripts with few options; their results are in `results/`."""
