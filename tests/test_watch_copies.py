"""A watched network and its optimizer are copied, saved and sent elsewhere like any other, and no copy is watched."""

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from test_watch import data, loop, network, recorded
from torch import nn

from cockpit import watch
from cockpit.watch.overheard import Overheard

CE = nn.functional.cross_entropy


def saved(what: Any) -> Any:
    file = io.BytesIO()
    torch.save(what, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda what: pickle.loads(pickle.dumps(what)),
    "torch.save": saved,
    "average": lambda net: torch.optim.swa_utils.AveragedModel(net).module,
    "shallow": copy.copy,
}


@pytest.fixture
def flown() -> Iterator[Any]:
    """(run, network, optimizer, x, y) after two epochs, while the watch lasts; its passes are still collected."""
    x, y = data()
    torch.manual_seed(0)
    net = network()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    with watch(net, optimizer) as run:
        loop(run, net, optimizer, CE, x, y, epochs=2)
        heard = Overheard(net, run)
        yield run, net, optimizer, x, y
        heard.remove()
    assert len(recorded(run).steps) == 20


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_the_network_is_whole_and_deaf(flown: Any, way: str) -> None:
    run, net, _, x, y = flown
    run._hooks.collecting = True
    before = len(run._hooks.calls)
    twin = COPIES[way](net).train()
    assert all(
        torch.equal(one, other) for one, other in zip(net.state_dict().values(), twin.state_dict().values(), strict=True)
    )
    CE(twin(x), y).backward()
    with torch.no_grad():
        twin(x)
    assert len(run._hooks.calls) == before and not run._hooks.blind_training
    net.train()(x)
    assert len(run._hooks.calls) == before + 1
    run._hooks.calls.clear()


def test_copies_of_copies_and_of_optimizers(flown: Any) -> None:
    _, net, optimizer, x, y = flown
    for way in ("deepcopy", "pickle", "torch.save"):
        twin, its = COPIES[way]((copy.deepcopy(net), copy.deepcopy(optimizer)))
        assert its.state_dict()["state"].keys() == optimizer.state_dict()["state"].keys()
        twin, its = COPIES[way]((net, optimizer))
        assert {id(w) for w in twin.parameters()} == {id(w) for group in its.param_groups for w in group["params"]}
        weights = [weight.clone() for weight in net.parameters()]
        CE(twin(x), y).backward()
        its.step()
        assert all(torch.equal(one, other) for one, other in zip(weights, net.parameters(), strict=True))
    net.load_state_dict(net.state_dict())
    optimizer.load_state_dict(optimizer.state_dict())
    assert [len(weight) for weight in copy.deepcopy(list(net.parameters()))] == [len(weight) for weight in net.parameters()]


def test_a_saved_network_needs_no_cockpit(flown: Any, tmp_path: Path) -> None:
    """It is read back in a process that cannot import the package."""
    _, net, _, x, _ = flown
    torch.save((net.eval(), x), tmp_path / "net.pt")
    text = "import sys, torch; sys.modules['cockpit'] = None\n"
    text += f"net, x = torch.load({str(tmp_path / 'net.pt')!r}, weights_only=False); print(float(net(x).detach().sum()))"
    done = subprocess.run([sys.executable, "-c", text], check=True, timeout=120, capture_output=True, text=True)
    assert float(done.stdout) == pytest.approx(float(net(x).detach().sum()), rel=1e-4)


def shout(net: nn.Module, x: torch.Tensor, answers: Any) -> None:
    answers.put(float(net(x).sum()))


def test_a_network_is_sent_to_another_process(flown: Any) -> None:
    """torch warns of hooks that it leaves out, and warnings are errors here."""
    _, net, optimizer, x, _ = flown
    net.eval()
    ForkingPickler.dumps(optimizer)
    context = mp.get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=shout, args=(net, x, answers))
    child.start()
    try:
        assert answers.get(timeout=100) == pytest.approx(float(net(x).detach().sum()), rel=1e-4)
    finally:
        child.join(timeout=20)


def test_a_watched_network_and_its_copy_are_compiled_whole(flown: Any) -> None:
    _, net, _, x, _ = flown
    for each in (net.eval(), copy.deepcopy(net).eval()):
        compiled = torch.compile(each, backend="eager", fullgraph=True)
        assert torch.allclose(compiled(x), each(x))
