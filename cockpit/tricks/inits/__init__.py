"""Initialisations: how linear and convolution weights start. `in` and `out` are the fan-in and the fan-out of a weight."""
