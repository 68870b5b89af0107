"""Changes of the training images. Everything is drawn for each image: library transforms draw once for a whole batch."""
