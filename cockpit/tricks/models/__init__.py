"""Networks. All take images of 1 or 3 channels; the layer that names the class is a linear layer called `head`."""
