"""The parts of benchmarks/faults.py: what is done to runs, and what must hold all the same."""
