"""One contract over every card: complete, decodable, trainable, live where it says so, resumable bit for bit."""

import itertools
import subprocess
import sys

import pytest
import torch
from conftest import TINY
from kit import DIGITS, parts
from test_loop import assert_same, stop_after, weights

from cockpit.cards import Card
from cockpit.catalog import catalog, toggles
from cockpit.families import CHOICES, discriminator
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import dump, edit, lay, loads
from cockpit.runs.history import read_history
from cockpit.runs.mailbox import Command
from cockpit.seams import SEAMS

CNN = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: small_cnn, widths: [8], convs: 1}")
NEEDS_OUTSIDE = {"mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "folder", "file"}
"""Members that need files of the user; their own tests train them."""
LARGER = {"lenet": ("data={source: synthetic, size: 16}",)}
"""Members for which the 8x8 digits are too small."""
BY_NAME = [pytest.param(card, id=f"{card.family}.{card.name}") for card in catalog()]
TOGGLES = [pytest.param(card, id=card.name) for card in toggles().values()]
LIVE = [pytest.param(card, id=card.name) for card in toggles().values() if card.live]
CHOICE = [
    pytest.param(card, id=f"{card.family}.{card.name}")
    for card in catalog()
    if card.kind == "choice" and card.name not in NEEDS_OUTSIDE
]


@pytest.mark.parametrize("card", BY_NAME)
def test_the_card_is_complete(card: Card):
    assert card.summary.endswith(".") and len(card.summary) < 120
    assert card.name.replace("_", "").isalnum() and card.name == card.name.lower()
    assert card.source or card.family in ("data", "train"), "say where it comes from"
    for knob in card.knobs:
        assert knob.help and not knob.help.endswith("."), knob.name
    assert set(card.seams) <= set(SEAMS)
    for seam in card.seams:
        assert not SEAMS[seam] or card.stage in SEAMS[seam], f"{seam} has stages; say which"


def choose(card: Card) -> tuple[str, ...]:
    """The edits that take a member of a choice, or switch a toggle on, where the digits allow it."""
    if card.kind == "toggle":
        return (f"tricks.{card.name}=on", *(("data.mirror=true",) if "no_mirror" in card.conflicts else ()))
    if card.family in CHOICES:
        return (f"{card.family}={{{discriminator(card.family)}: {card.name}}}",)
    return (f"model.{card.family}={card.name}",)


@pytest.mark.parametrize("card", [*TOGGLES, *CHOICE])
def test_its_defaults_decode_and_round_trip(card: Card):
    recipe = loads(CNN, edits=choose(card))
    assert loads(dump(recipe)) == recipe


@pytest.mark.parametrize("card", [*TOGGLES, *CHOICE])
def test_it_trains_two_steps(card: Card, fly):
    edits = [*choose(card), *LARGER.get(card.name, ()), "data.limit=64", "train.epochs=1"]
    flight = fly(CNN, *edits)
    assert flight.end.state == "finished", flight.end.reason
    assert len(read_history(flight.run).steps) == 2


@pytest.mark.parametrize("card", TOGGLES)
def test_its_plug_serves_the_seams_that_it_names(card: Card):
    recipe = loads(CNN, edits=choose(card))
    plug = recipe.tricks[card.name].plug(parts(recipe.model.build(DIGITS)))
    assert {seam for seam in SEAMS if callable(getattr(plug, seam, None))} == set(card.seams)
    assert all(card.name in lay(recipe)[seam] for seam in card.seams)


@pytest.mark.parametrize("card", LIVE)
def test_it_goes_on_and_off_while_the_run_runs(card: Card, fly, runs):
    flight = Flight(new_run(loads(CNN, edits=choose(card)[1:]), runs, "live", allow_code=False, command=[]), say=print)
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
def test_a_resume_in_the_middle_equals_straight_through(card: Card, fly, runs):
    straight = fly(CNN, *choose(card))
    run = new_run(loads(CNN, edits=choose(card)), runs, "broken", allow_code=False, command=[])
    stop_after(Flight(run, say=print), 8).fly()
    second = Flight(run, resume=True, say=print)
    second.fly()
    assert_same(weights(straight), weights(second))


def conflicting(one: Card, two: Card) -> bool:
    def names(card: Card) -> set[str]:
        return {card.name, card.family, *card.tags}

    return bool(names(two) & set(one.conflicts) or names(one) & set(two.conflicts))


@pytest.mark.parametrize(
    "pair", itertools.combinations(toggles().values(), 2), ids=lambda pair: f"{pair[0].name}+{pair[1].name}"
)
def test_every_pair_of_toggles_trains_or_is_refused(pair: tuple[Card, Card]):
    from cockpit.datasets.base import Places
    from cockpit.datasets.places import data_root
    from cockpit.engine.assemble import assemble
    from cockpit.engine.loop import take_step
    from cockpit.engine.recorder import Recorder
    from cockpit.recipe import RecipeError

    edits = (*choose(pair[0]), *choose(pair[1]), "data.limit=64")
    if conflicting(*pair):
        with pytest.raises(RecipeError, match=r"(?s)" + pair[0].name):
            loads(CNN, edits=edits)
        return
    torch.set_num_threads(1)
    rows = []
    job, _ = assemble(loads(CNN, edits=edits), Places(root=data_root()))
    recorder = Recorder(lambda steps, layers: rows.extend(steps["loss"]))
    job.model.train()
    for places in job.rest_of_epoch():
        take_step(job, places, recorder)
    recorder.flush()
    assert len(rows) == 2 and all(loss == loss for loss in rows)


def test_an_edit_of_a_knob_keeps_the_rest():
    recipe = loads(CNN, edits=["tricks.mixup.alpha=0.4"])
    assert edit(recipe, "tricks.mixup.prob", "0.5").tricks["mixup"].alpha == 0.4


def test_the_catalogue_needs_neither_torch_nor_textual():
    code = "import sys; from cockpit.catalog import catalog; assert catalog(); print({'torch', 'textual'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
