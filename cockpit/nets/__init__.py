"""Networks in plain PyTorch. They know nothing of the cockpit."""
