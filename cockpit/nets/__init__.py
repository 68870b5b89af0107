"""Networks in plain PyTorch. They take the task, a maker of activations and a maker of norm layers, and know no recipe."""

from cockpit.nets.layers import initialise, nearest_divisor

__all__ = ["initialise", "nearest_divisor"]
