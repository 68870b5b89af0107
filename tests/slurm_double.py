"""A Slurm of shell scripts that keeps its queue in a folder: `sbatch` takes a job in, `squeue` lists it, `scancel` drops it.

Nothing in it starts a job: what a job does is tested with submitit's own local queue.
"""

from pathlib import Path

SCRIPTS = {
    "sbatch": 'cp "$1" {here}/submitted\n'
    'if [ -e {here}/refuses ]; then echo "sbatch: error: no such partition" >&2; exit 1; fi\n'
    "echo PENDING > {here}/jobs/7; echo Submitted batch job 7",
    "squeue": "echo asked >> {here}/asked; [ -e {here}/silent ] && exit 1\n"
    'for job in {here}/jobs/*; do [ -e "$job" ] && echo "$(basename $job) $(cat $job)"; done; true',
    "scancel": "rm {here}/jobs/$1",
    "srun": "exit 1",
}


class SlurmDouble:
    """Put `bin` in front of PATH."""

    def __init__(self, here: Path) -> None:
        self.here, self.bin, self.jobs = here, here / "bin", here / "jobs"
        for folder in (self.bin, self.jobs):
            folder.mkdir(parents=True)
        for name, text in SCRIPTS.items():
            (self.bin / name).write_text("#!/bin/sh\n" + text.format(here=here) + "\n")
            (self.bin / name).chmod(0o755)

    def says(self, state: str, job: str = "7") -> None:
        """The state of a job from now on; empty: it has left the queue."""
        path = self.jobs / job
        path.write_text(state) if state else path.unlink()

    def flag(self, name: str, on: bool = True) -> None:
        """`refuses`: sbatch takes nothing; `silent`: squeue fails."""
        (self.here / name).touch() if on else (self.here / name).unlink()

    @property
    def asked(self) -> int:
        """How often squeue was called."""
        path = self.here / "asked"
        return len(path.read_text().splitlines()) if path.exists() else 0

    @property
    def submitted(self) -> list[str]:
        """The lines of the last job script."""
        return (self.here / "submitted").read_text().splitlines()
