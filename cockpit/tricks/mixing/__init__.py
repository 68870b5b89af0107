"""Training on blends of images: of any two, of two of one class, and of parts that were learned."""
