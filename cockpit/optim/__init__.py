"""Optimizers that no library has in the form the cockpit needs: the mathematics, on torch alone; the cards are elsewhere."""
