"""The training itself: loop, wiring, data on the device, measurements, checkpoints. The only package that lives on torch."""
