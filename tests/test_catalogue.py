"""One contract over every card: complete, decodable, trainable, live where it says so, resumable bit for bit."""

import dataclasses
import inspect
import itertools
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from conftest import TINY
from kit import COLOUR as COLOURED
from kit import DIGITS, parts
from test_loop import assert_same, stop_after, weights

from cockpit.cards import TAGS, Card
from cockpit.catalog import catalog, toggles
from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.diagnosis import Flag
from cockpit.engine import assemble as assembling
from cockpit.engine.assemble import AssemblyError, assemble
from cockpit.engine.data.load import load
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.families import (
    CHOICES,
    Activation,
    Init,
    Loss,
    Model,
    Norm,
    Optimizer,
    Schedule,
    Score,
    Source,
    discriminator,
)
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import RecipeError, dump, edit, lay, loads
from cockpit.runs.history import read_history
from cockpit.runs.mailbox import Command
from cockpit.seams import SEAMS

CNN = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: small_cnn, widths: [8], convs: 1}")
NEEDS_OUTSIDE = {"mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "folder", "arrays", "file"}
"""Members that need files of the user; their own tests train them."""
RESNET = "model={name: resnet, depth: 20, width: 0.25}"
VIT = "model={name: vit, patch: 4, dim: 16, depth: 1, heads: 2}"
COLOUR = "data={source: synthetic, size: 8, channels: 3, train: 200, test: 20}"
HOMES = {
    "lenet": ("data={source: synthetic, size: 16}",),
    "airbench": ("data={source: synthetic, size: 16}",),
    "rms": ("model={name: mlp, widths: [16]}",),
    "zero_last_gamma": (RESNET,),
    "stochastic_depth": (RESNET,),
    "patch_dropout": (VIT,),
    "masked_autoencoder": (VIT,),
    "masked_token": (VIT,),
    "pca_lighting": (COLOUR,),
    "random_flip": ("data.mirror=true",),
}
"""What a card needs that the small network on grey 8x8 digits does not give."""
BY_NAME = [pytest.param(card, id=f"{card.family}.{card.name}") for card in catalog()]
TOGGLES = [pytest.param(card, id=card.name) for card in toggles().values()]
LIVE = [pytest.param(card, id=card.name) for card in toggles().values() if card.live]
CHOICE = [
    pytest.param(card, id=f"{card.family}.{card.name}")
    for card in catalog()
    if card.kind == "choice" and card.name not in NEEDS_OUTSIDE
]


@pytest.fixture(scope="session")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished run, for the tricks that learn from one."""
    recipe, root = loads(CNN, edits=("train.epochs=1",)), tmp_path_factory.mktemp("earlier")
    run = new_run(recipe, root, "earlier", allow_code=False, command=[])
    Flight(run, say=print).fly()
    return str(run.path)


@pytest.mark.parametrize("card", BY_NAME)
def test_the_card_is_complete(card: Card):
    assert card.summary.endswith(".") and len(card.summary) < 120
    assert card.name.replace("_", "").isalnum() and card.name == card.name.lower()
    assert card.source or card.family in ("data", "train"), "say where it comes from"
    for knob in card.knobs:
        assert knob.help and not knob.help.endswith("."), knob.name
    assert set(card.seams) <= set(SEAMS)
    for seam in card.seams:
        assert not SEAMS[seam] or set(card.stage.split()) & set(SEAMS[seam]), f"{seam} has stages; say which"


ASKED = {
    Source: ("read",),
    Score: ("measure",),
    Loss: ("build",),
    Activation: ("build", "value"),
    Init: ("fill",),
    Norm: ("build",),
    Optimizer: ("build", "lr"),
    Schedule: ("shape",),
    Model: ("build",),
    Flag: ("look",),
}
"""What each family asks of its members; the bases only name it."""


@pytest.mark.parametrize("card", [card for card in BY_NAME if card.values[0].kind != "toggle"])
def test_it_offers_what_its_family_asks_for(card: Card):
    (base,) = [base for base in ASKED if issubclass(card.cls, base)]
    assert [name for name in ASKED[base] if getattr(card.cls, name) is getattr(base, name)] == []


def choose(card: Card, earlier: str) -> tuple[str, ...]:
    """The edits that take a member of a choice, or switch a toggle on, where it can work."""
    return (*HOMES.get(card.name, ()), *switch(card, earlier))


def switch(card: Card, earlier: str) -> tuple[str, ...]:
    required = [knob.name for knob in card.knobs if knob.required]
    if card.kind == "toggle":
        return (f"tricks.{card.name}={{{required[0]}: {earlier}}}" if required else f"tricks.{card.name}=on",)
    if card.family in CHOICES:
        return (f"{card.family}={{{discriminator(card.family)}: {card.name}}}",)
    return (f"model.{card.family}={card.name}",)


@pytest.mark.parametrize("card", [*TOGGLES, *CHOICE])
def test_its_defaults_decode_and_round_trip(card: Card, earlier: str):
    recipe = loads(CNN, edits=choose(card, earlier))
    assert loads(dump(recipe)) == recipe


@pytest.mark.parametrize("card", [*TOGGLES, *CHOICE])
def test_it_trains_two_steps(card: Card, fly, earlier: str):
    edits = [*choose(card, earlier), "data.limit=64", "train.epochs=1"]
    flight = fly(CNN, *edits)
    assert flight.end.state == "finished", flight.end.reason
    steps = read_history(flight.run).steps
    assert len(steps) == flight.job.total_steps >= 1 and np.isfinite(steps["loss"]).all()


@pytest.mark.parametrize("card", TOGGLES)
def test_its_plug_serves_the_seams_that_it_names(card: Card, earlier: str):
    recipe = loads(CNN, edits=choose(card, earlier))
    task = COLOURED if COLOUR in HOMES.get(card.name, ()) else DIGITS
    plug = recipe.tricks[card.name].plug(parts(recipe.model.build(task), task))
    assert {seam for seam in SEAMS if callable(getattr(plug, seam, None))} == set(card.seams)
    assert all(card.name in lay(recipe)[seam] for seam in card.seams)


@pytest.mark.parametrize("card", LIVE)
def test_it_goes_on_and_off_while_the_run_runs(card: Card, fly, runs, earlier: str):
    flight = Flight(new_run(loads(CNN, edits=HOMES.get(card.name, ())), runs, "live", allow_code=False, command=[]), say=print)
    obey = flight.control.obey

    def switching(job, recorder, keeper):
        if job.step in (3, 6):
            value = "on" if job.step == 3 else "off"
            flight.control.post(Command("edit", {"path": f"tricks.{card.name}", "value": value}))
        return obey(job, recorder, keeper)

    flight.control.obey = switching
    flight.fly()
    assert flight.end.state == "finished", flight.end.reason
    history = read_history(flight.run)
    assert [(change.step, change.live) for change in history.edits] == [(3, True), (6, True)]
    assert all(command.ok for command in history.commands)
    assert flight.job.recipe.tricks == {}


@pytest.mark.parametrize("card", TOGGLES)
def test_a_resume_in_the_middle_equals_straight_through(card: Card, fly, runs, earlier: str):
    edits = (*choose(card, earlier), "schedule=cosine", "optimizer.weight_decay=1.0e-3")
    straight = fly(CNN, *edits)
    run = new_run(loads(CNN, edits=edits), runs, "broken", allow_code=False, command=[])
    stop_after(Flight(run, say=print), 8).fly()
    second = Flight(run, resume=True, say=print)
    second.fly()
    assert_same(weights(straight), weights(second))


def conflicting(one: Card, two: Card) -> bool:
    def names(card: Card) -> set[str]:
        return {card.name, card.family, *card.tags}

    return bool(names(two) & set(one.conflicts) or names(one) & set(two.conflicts))


@pytest.fixture(scope="module", autouse=True)
def read_once() -> Iterator[None]:
    """The images of a source are read once for all pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembling, "load", cache(load))
        yield


@pytest.mark.parametrize("card", BY_NAME)
def test_what_a_card_says_of_others_exists(card: Card):
    known = {name for other in catalog() for name in (other.name, other.family)}
    assert (set(card.conflicts) | set(card.cautions)) - known <= TAGS.keys()
    assert set(card.tags) - known <= TAGS.keys()


@pytest.mark.parametrize("card", BY_NAME)
def test_every_declared_conflict_is_refused(card: Card, earlier: str):
    for key, rival in [(key, rival) for key in card.conflicts for rival in catalog() if rival.kind != "flag"]:
        same = rival is card or (card.kind == rival.kind == "choice" and card.family == rival.family)
        if same or key not in (rival.name, rival.family, *rival.tags):
            continue
        edits = (*HOMES.get(card.name, ()), *HOMES.get(rival.name, ()), *switch(card, earlier), *switch(rival, earlier))
        with pytest.raises(RecipeError, match="cannot run with"):
            loads(CNN, edits=edits)


PAIRS = list(itertools.combinations(toggles().values(), 2))


@pytest.mark.parametrize("first", toggles().values(), ids=lambda card: card.name)
def test_every_pair_of_toggles_trains_or_is_refused(first: Card, earlier: str):
    torch.set_num_threads(1)
    wrong = [f"{one.name} + {two.name}: {fault}" for one, two in PAIRS if one is first and (fault := tried(one, two, earlier))]
    assert not wrong, "\n".join(wrong)


def tried(one: Card, two: Card, earlier: str) -> str:
    """What went wrong with a pair, or nothing."""
    homes = [HOMES.get(card.name, ()) for card in (one, two)]
    edits = (*homes[0], *homes[1], *switch(one, earlier), *switch(two, earlier), "data.limit=40", "train.batch_size=20")
    try:
        losses = two_steps(edits)
    except RecipeError as error:
        return "" if conflicting(one, two) and one.name in str(error) and two.name in str(error) else f"refused: {error}"
    except AssemblyError as error:
        # No network and no image serves both, or one needs what the other takes away: one of them says so.
        return "" if any(homes) and str(error).startswith("tricks: ") else f"cannot be built: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if conflicting(one, two):
        return "is to be refused and trains"
    return "" if losses and np.isfinite(losses).all() else f"losses {losses}"


def two_steps(edits: tuple[str, ...]) -> list[float]:
    """Losses of the first epoch, two steps of it unless a trick merges them. Raises AssemblyError."""
    rows: list[float] = []
    job, _ = assemble(loads(CNN, edits=edits), Places(root=data_root()))
    recorder = Recorder(lambda steps, layers: rows.extend(steps["loss"]))
    job.model.train()
    for places in job.rest_of_epoch():
        take_step(job, places, recorder)
    recorder.flush()
    return rows


def test_an_edit_of_a_knob_keeps_the_rest():
    recipe = loads(CNN, edits=["tricks.mixup.alpha=0.4"])
    assert edit(recipe, "tricks.mixup.prob", "0.5").tricks["mixup"].alpha == 0.4


def test_the_catalogue_needs_neither_torch_nor_textual():
    code = "import sys; from cockpit.catalog import catalog; assert catalog(); print({'torch', 'textual'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


@pytest.mark.parametrize("card", catalog(), ids=lambda card: f"{card.family}-{card.name}")
def test_no_member_leaves_open_what_its_family_leaves_to_it(card: Card) -> None:
    held = {spec.name for spec in dataclasses.fields(card.cls)}
    for name in set(dir(card.cls)) - held:
        found = inspect.getattr_static(card.cls, name)
        code = getattr(found.fget if isinstance(found, property) else found, "__code__", None)
        assert code is None or "NotImplementedError" not in code.co_names, f"{card.name} has no {name}"
