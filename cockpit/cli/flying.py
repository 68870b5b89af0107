"""Commands that start, stop and continue runs."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

import cockpit.cli.forking  # noqa: F401  (adds `fork`)
from cockpit.cli.base import (
    BadInputError,
    CodeOpt,
    JsonOpt,
    NameOpt,
    RecipeArg,
    RunArg,
    RunsOpt,
    SetOpt,
    app,
    only_json,
    say,
    show_json,
)
from cockpit.cli.pausing import Pauses, deliver  # it adds `pause` and `continue`, too
from cockpit.cli.queueing import OptionsOpt, QueueOpt, SlurmOpt, wish
from cockpit.cli.taking import taken
from cockpit.runs.directory import RunDir, find, runs_root, whole
from cockpit.runs.owner import own
from cockpit.runs.pausing import goes_on

AutoOpt = Annotated[
    bool,
    typer.Option("--auto-remedy", help="Apply the remedies of findings unasked: live, from a checkpoint, or in a new run."),
]

GpusOpt = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="Processes of this machine that train it together, one to a GPU (torchrun)."),
]


def prepare(
    recipe: str, edits: list[str] | None, runs: Path | None, name: str | None, allow_code: bool, auto_remedy: bool = False
) -> RunDir:
    """Decode a recipe and make its run directory."""
    from cockpit.launch import new_run
    from cockpit.recipe import load

    decoded = load(recipe, edits or ())
    if decoded.model.runs_code and not allow_code:
        raise BadInputError("model.path: this recipe runs Python code of its own; say --allow-code if you trust it")
    named = name or Path(recipe).stem
    return new_run(decoded, runs_root(runs), named, allow_code=allow_code, command=sys.argv, auto_remedy=auto_remedy)


@app.command()
def train(
    recipe: RecipeArg,
    edits: SetOpt = None,
    runs: RunsOpt = None,
    name: NameOpt = None,
    allow_code: CodeOpt = False,
    auto_remedy: AutoOpt = False,
    json: JsonOpt = False,
) -> None:
    """Train in the foreground, without a screen. Ctrl-C ends the run with a checkpoint."""
    from cockpit.host.crew import begun, remember

    earlier = begun(runs_root(runs), recipe, edits or ())
    run = earlier or prepare(recipe, edits, runs, name, allow_code, auto_remedy)
    remember(run)
    fly(run, resume=earlier is not None, json=json)


def fly(run: RunDir, *, resume: bool, json: bool) -> None:
    """Be the host of a run until it has ended, and then of the one it goes on in, if any."""
    from cockpit.cli.progress import Progress
    from cockpit.host.crew import part
    from cockpit.host.host import Host
    from cockpit.runs.summary import summarise
    from cockpit.ui.notices import ring_the_end

    onward = [run]
    while onward:
        run = onward.pop()
        progress = Progress(run, quiet=json)
        host = Host(run, resume=resume, say=progress.say, onward=onward.append)
        pauses = Pauses(host, progress)
        host.catch_signals()
        with only_json(json):
            end = host.run(idle=pauses.turn)
        progress.close(end)
        if not json and end.state != "interrupted":  # by a key or a signal; who gave it knows
            ring_the_end(run.name, end)
        resume = resume and not onward
    part(end.state != "failed")
    if json:
        show_json(summarise(run))
    # What cannot be built is bad input; what was built and failed is a failed run.
    raise typer.Exit(0 if end.state != "failed" else 1 if host.flight.job or resume else 2)


@app.command()
def start(
    recipe: RecipeArg,
    edits: SetOpt = None,
    runs: RunsOpt = None,
    name: NameOpt = None,
    allow_code: CodeOpt = False,
    auto_remedy: AutoOpt = False,
    gpus: GpusOpt = None,
    slurm: SlurmOpt = False,
    queue: QueueOpt = None,
    options: OptionsOpt = None,
    json: JsonOpt = False,
) -> None:
    """Start a run in the background, in a session of its own; closing the terminal does not touch it."""
    from cockpit.runs.launch import spawn
    from cockpit.runs.launch_facts import say_facts

    wanted = wish(slurm, queue, options, gpus)
    run = prepare(recipe, edits, runs, name, allow_code, auto_remedy)
    if gpus:
        with whole(run):
            say_facts(run, gpus=gpus)
    if wanted:
        from cockpit.cli.submitting import submit_new, tell

        tell(run, submit_new(run, wanted), wanted, json=json)
        return
    with whole(run):
        pid = spawn(run)
    if json:
        show_json({"id": run.id, "name": run.name, "dir": str(run.path), "pid": pid})
    else:
        for line in (f"run {run.id} ({run.name}) started as process {pid}", f"  {run.path}", f"  cockpit attach {run.id}"):
            say(line)


@app.command()
def stop(
    run: RunArg = None,
    runs: RunsOpt = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the end.")] = 60.0,
    json: JsonOpt = False,
) -> None:
    """Stop a run after its current step, with a checkpoint; one that waits in a batch queue is taken out of it."""
    from cockpit.cli.submitting import cancelled
    from cockpit.runs.history import RunReader
    from cockpit.runs.mailbox import Command
    from cockpit.runs.state import LIVE
    from cockpit.runs.summary import summarise

    found = own(find(runs_root(runs), run), "stop")
    reader = RunReader(found)
    reader.poll()
    if not cancelled(reader, wait):
        if reader.state not in LIVE:
            raise BadInputError(f"run {found.id} ({found.name}) is not running: it is {reader.state}")
        deliver(found, Command("stop"))
    until = time.monotonic() + wait
    while reader.state in LIVE and time.monotonic() < until:
        time.sleep(0.1)
        reader.poll()
    if json:
        show_json(summarise(found))
    else:
        why = reader.history.ended.reason if reader.history.ended else ""
        said = f": {why}" if "cancelled" in why else ""
        say(f"run {found.id} ({found.name}) is {reader.state} at step {reader.history.step}{said}")
    raise typer.Exit(1 if reader.state in LIVE else 0)


@app.command()
def resume(
    run: RunArg = None,
    runs: RunsOpt = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Train here, as `train` does.")] = False,
    auto_remedy: AutoOpt = False,
    gpus: GpusOpt = None,
    slurm: SlurmOpt = False,
    queue: QueueOpt = None,
    options: OptionsOpt = None,
    json: JsonOpt = False,
) -> None:
    """Continue a stopped, interrupted, failed or lost run from its last checkpoint, in the background."""
    from cockpit.cli.submitting import leave_queue, refuse_if_queued, submit, tell
    from cockpit.host.crew import several
    from cockpit.recipe import loads
    from cockpit.runs.history import RunReader
    from cockpit.runs.launch import spawn
    from cockpit.runs.launch_facts import processes, say_auto_remedy, say_facts
    from cockpit.runs.state import LIVE

    found = own(find(runs_root(runs), run), "resume")
    reader = RunReader(found)
    reader.poll()
    together = processes(found)
    wanted = wish(slurm, queue, options, gpus or (together if together > 1 else None))
    refuse_if_queued(found, reader.state)
    if reader.state in LIVE:
        way = f"{goes_on(found)} goes on" if reader.state == "paused" else f"`cockpit attach {found.id}` shows it"
        raise BadInputError(f"run {found.id} ({found.name}) is {reader.state} already; {way}")
    loads(found.recipe.read_bytes(), "recipe.yaml")  # what cannot be read is said here and not in a log
    if reader.state == "finished":
        raise BadInputError(f"run {found.id} ({found.name}) is finished: there is nothing left to train")
    if auto_remedy:
        say_auto_remedy(found)
    if gpus:
        say_facts(found, gpus=gpus)
    if wanted:
        tell(found, submit(found, wanted, resume=True), wanted, json=json)
        return
    leave_queue(found)
    if foreground or several():
        fly(found, resume=True, json=json)
    pid = taken(found, lambda: spawn(found, resume=True))
    if json:
        show_json({"id": found.id, "name": found.name, "dir": str(found.path), "pid": pid})
    else:
        say(f"run {found.id} ({found.name}) goes on as process {pid}")
        say(f"  cockpit attach {found.id}")
