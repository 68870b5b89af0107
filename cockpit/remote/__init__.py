"""A run on another machine, followed over plain ssh: `feed` there, a mirror of the run directory here."""
