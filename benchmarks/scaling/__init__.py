"""The parts of benchmarks/scale.py: runs, networks and folders larger than anybody would wait for, and what they cost."""
