"""The run directory: what a host writes and every screen reads. No torch, no textual."""
