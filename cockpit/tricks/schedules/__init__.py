"""Schedules: closed forms of the step. The base does the warm-up, and the shapes run over the steps that remain."""
