"""Activations: the non-linearity between two layers. None works in place, so that a probe sees every output as it was."""
