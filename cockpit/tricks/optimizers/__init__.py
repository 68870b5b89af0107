"""Optimizers: how gradients become updates. The mathematics is a library's where one has it, else that of cockpit.optim."""
