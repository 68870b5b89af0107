"""What the loop, the data path, the screen and the disk cost on this machine: `cockpit bench`, and what benchmarks/ share."""
