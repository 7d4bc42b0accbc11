"""Models: from a panel to a PyMC posterior. One class per model, one file per class."""
