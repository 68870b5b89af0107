"""What is done with several finished runs at once: ensembles, soups, comparisons over seeds. Chosen on validation only."""
