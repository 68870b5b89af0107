"""What benchmarks/diagnosis.py is made of: cases to runs, runs to findings, findings to a table."""
