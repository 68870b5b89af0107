"""The training loop, drawn with its seams: the named places where a trick may plug in.

    wrapped once, when the plan is built
        splits    = dataset(splits)
        model     = model(model)
        groups    = params(groups)
        optimizer = optimizer(optimizer)
        criterion = loss(criterion)
        step      = update(step)

    for each batch:
        lr    = schedule(lr)
        x, y  = batch(x, y)                 pixels -> standardise -> erase -> mix
        yhat  = model(x)
        loss  = criterion(yhat, y)
        optimizer.zero_grad()
        loss.backward()
        grads = grads(grads)                penalty -> clip
        step()
        weights(model)                      decay -> average

    for each evaluation:
        scored  = evaluate(model)           the network whose score counts
        verdict = verdict(verdict)          whether to go on, and which weights are kept

A seam takes a value and returns one of the same kind; nobody mutates a shared state, so nobody has to undo. Tricks at a
seam run in the order of its stages, and inside a stage in the order of their names. A trick that is off is not there.
"""

from collections.abc import Mapping

SEAMS: Mapping[str, tuple[str, ...]] = {
    "dataset": (),
    "model": (),
    "params": (),
    "optimizer": (),
    "loss": (),
    "update": (),
    "schedule": (),
    "batch": ("pixels", "standardise", "erase", "mix"),
    "grads": ("penalty", "clip"),
    "weights": ("decay", "average"),
    "evaluate": (),
    "verdict": (),
}
"""Every seam, in the order of the loop, with its stages."""

WRAPPED = ("dataset", "model", "params", "optimizer", "loss", "update")
PASSED = ("schedule", "batch", "grads", "weights", "evaluate", "verdict")
