"""The training loop, drawn with its seams: the named places where a trick may plug in.

    wrapped once, when the plan is built
        images    = dataset(images)
        model     = model(model)
        groups    = params(groups)
        optimizer = optimizer(optimizer)
        criterion = loss(criterion)
        objective = objective(objective)    forward -> penalty
        step      = update(step)

    for each epoch:
        batches = sampler(batches)          which images make up each step

    for each batch:
        lr    = schedule(lr)
        x, y  = batch(x, y)                 geometry -> policy -> colour -> attack -> standardise -> erase -> mix
        yhat  = model(x)                    these two lines are the objective
        loss  = criterion(yhat, y)
        optimizer.zero_grad()
        loss.backward()
        grads = grads(grads)                penalty -> clip
        step()
        weights(model)                      decay -> average

    for each evaluation:
        scored  = evaluate(model)           the network whose score counts: average -> refresh -> views
        verdict = verdict(verdict)          whether to go on, and which weights are kept

A seam takes a value and returns one of the same kind; nobody mutates a shared state, so nobody has to undo. Tricks at a
seam run in the order of its stages, and inside a stage in the order of their names. A trick that is off is not there.

Most tricks are toggles; a member of a choice (a loss that needs its own sampler) may stand at seams in the same way.
"""

from collections.abc import Mapping

SEAMS: Mapping[str, tuple[str, ...]] = {
    "dataset": (),
    "model": (),
    "params": (),
    "optimizer": (),
    "loss": (),
    "objective": ("forward", "penalty"),
    "update": (),
    "sampler": ("draw", "repeat", "group"),
    "schedule": (),
    "batch": ("geometry", "policy", "colour", "attack", "standardise", "erase", "mix"),
    "grads": ("penalty", "clip"),
    "weights": ("decay", "average"),
    "evaluate": ("average", "refresh", "views"),
    "verdict": (),
}
"""Every seam, in the order of the loop, with its stages."""

WRAPPED = ("dataset", "model", "params", "optimizer", "loss", "objective", "update")
PASSED = ("sampler", "schedule", "batch", "grads", "weights", "evaluate", "verdict")


def stage_at(seam: str, said: str) -> str:
    """The stage of a seam among those a card names, which may be one for each of its seams: `attack forward`.

    A card that names none of a seam's stages stands in the first.
    """
    stages = SEAMS[seam]
    return next((stage for stage in said.split() if stage in stages), stages[0] if stages else "")
