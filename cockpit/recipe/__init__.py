"""What a recipe may say: YAML to typed values, every fault with its place."""
