"""The columns of benchmarks/loop.py, each a process of its own, and how they are timed in turn."""
