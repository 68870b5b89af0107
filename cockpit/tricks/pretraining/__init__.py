"""Learning without labels, and starting from what another run has learned."""
