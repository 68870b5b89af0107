"""A terminal cockpit for training neural networks."""
