"""Losses: what the training minimises. Class indices (B,) and soft targets (B, K) alike, unless a card says otherwise."""
