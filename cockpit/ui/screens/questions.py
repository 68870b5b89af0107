"""The questions the cockpit asks, in its words."""

from cockpit.ui.model.findings import Finding, orders
from cockpit.ui.model.ways import Way
from cockpit.ui.model.words import clean
from cockpit.ui.screens.ask import CANCEL, Answer, Ask

YES = {
    Way.ROLLBACK: "go back and do it",
    Way.FORK: "stop this run and start the new one",
    Way.DRAFT: "open the new run",
}
"""What is said yes to, where it is more than a change."""


def leave(in_process: bool, read_only: bool = False) -> Ask:
    """Quitting while a run lives."""
    stop = Answer("s", "stop with a checkpoint, then quit", "stop")
    if in_process:
        text = (
            "The run trains inside this application, so quitting stops it. It finishes its step and writes a checkpoint first."
        )
        return Ask("The run is alive", text, (stop, CANCEL), wary=True, id="leave")
    text = "The run belongs to a process of its own and goes on without this screen. `cockpit attach` shows it again."
    ways = (Answer("d", "detach: the run goes on", "detach"), *(() if read_only else (stop,)), CANCEL)
    return Ask("The run is alive", text, ways, id="leave")


def stop(watched: bool) -> Ask:
    """Stopping a run."""
    if watched:
        text = "Your loop is told at its next step: there run.step(...) returns False, and it should end."
        return Ask("Stop the run?", text, (Answer("s", "tell the loop to stop", "stop"), CANCEL), wary=True)
    text = "The run finishes its step, writes a checkpoint, and ends. It can be resumed later."
    return Ask("Stop the run?", text, (Answer("s", "stop with a checkpoint", "stop"), CANCEL), wary=True)


def consent(path: str) -> Ask:
    """A recipe that runs code."""
    text = (
        f"This recipe builds its network with Python code: {clean(path)}\n"
        "That code can do all that you can do on this machine. Start the run only if you trust it."
    )
    return Ask("Run code from the recipe?", text, (Answer("a", "I trust it: start the run", "allow"), CANCEL), wary=True)


def vault(looks: int) -> Ask:
    """Opening the sealed test set."""
    text = (
        "The test set tells how well the network does on images that no decision was made with. Each look that is followed by "
        "a change turns it into one more validation set: a recipe chosen by its test score has a test score that means "
        "nothing, and it must not be reported.\n\n"
        "Choose by validation. Open the vault once, when you are done. "
        f"This run has {looks} look{'' if looks == 1 else 's'} so far; each is written to its ledger and shown from then on."
    )
    return Ask("Open the vault?", text, (Answer("o", "open it and record the look", "open"), CANCEL), wary=True)


def remedy(found: Finding, number: int) -> Ask:
    """What a remedy, counted from 1, will do and what that means for the run, before it does it."""
    chosen, way = found.remedies[number - 1], found.ways[number - 1]
    lines = [f"· {order}" for order in orders(chosen, way)]
    text = "\n".join([f"{found.id}: {found.headline}", "", "This will", *lines, "", way.sentence(found.refuge)])
    return Ask(clean(chosen.label), text, (Answer("y", YES.get(way, "do it"), "do"), CANCEL))
