"""A soup kept as a run directory, so that it can be shown, tested, ensembled and fine-tuned like any run."""

from collections.abc import Sequence
from pathlib import Path

from cockpit.engine import checkpoints
from cockpit.engine.across.soup import Soup
from cockpit.engine.assemble import started
from cockpit.engine.logbook import Logbook
from cockpit.engine.reopen import Reopened
from cockpit.launch import new_run
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir


def keep(soup: Soup, members: Sequence[Reopened], root: Path, name: str, command: Sequence[str]) -> RunDir:
    """Write a finished run whose best checkpoint is the soup. RunError where it cannot be written."""
    first = members[0]
    job, recipe = first.job, first.job.recipe
    run = new_run(recipe, root, name, allow_code=recipe.model.runs_code, command=command)
    checkpoints.save(run.checkpoint("best"), {"step": first.step, "model": soup.state})
    checkpoints.save(run.checkpoint("last"), {**job.state_dict(), "model": soup.state})
    log = Logbook(run)
    log.write(started(job, first.loaded))
    log.write(ev.Noted(step=first.step, text=f"the mean of the weights of runs {', '.join(soup.taste.members)}"))
    log.write(
        ev.Evaluated(
            step=first.step,
            epoch=round(job.epoch),
            train_loss=float("nan"),
            train_accuracy=float("nan"),
            val_loss=soup.taste.loss,
            val_accuracy=soup.taste.accuracy,
            probe_size=0,
            val_size=len(job.val),
            best=True,
            weights="soup",
            scores=soup.taste.scores,
            score=recipe.score.card.name,
        )
    )
    log.ended(ev.Ended(step=first.step, epoch=job.epoch, state="finished", reason="", kept="best"))
    return run
