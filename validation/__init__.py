"""Slow statistical studies: scripts with a small face, results beside them in `results/`."""
