"""The parts of benchmarks/screen.py."""
