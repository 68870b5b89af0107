"""Normalisation after a layer; a layer that is followed by a norm with a shift of its own has no bias."""
