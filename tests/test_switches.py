"""Switches for speed change nothing but the speed: layout, number format, compilation and kernels against the plain run."""

import io
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache, partial

import pytest
import torch
from conftest import TINY
from test_catalogue import CNN, RESNET, VIT
from torch import nn

from cockpit.catalog import family
from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine import assemble as assembling
from cockpit.engine.assemble import assemble
from cockpit.engine.compiling import compile_network
from cockpit.engine.data.load import load
from cockpit.engine.loop import advance
from cockpit.engine.training import Training
from cockpit.recipe import edit, loads

SHORT = ("data.limit=110", "train.batch_size=24", "train.drop_last=off", "train.epochs=6", "train.probe_every=3")
"""The last of the five batches of an epoch holds 14 images or fewer."""
COMPILER = shutil.which(os.environ.get("CXX") or "g++") or shutil.which("clang++")
ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@pytest.fixture(scope="module", autouse=True)
def read_once() -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembling, "load", cache(load))
        # Compiling sets these for the whole process: what other tests compile must not find them so.
        with torch._dynamo.config.patch(suppress_errors=False, skip_nnmodule_hook_guards=True):
            yield
    torch._dynamo.reset()


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compilation without its last stage: everything that can go wrong between two steps, and no C++ compiler."""
    torch._dynamo.reset()
    compiling = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda model, mode: compiling(model, backend="aot_eager"))


def job_of(*edits: str, mode: str = "eager", text: str = CNN) -> Training:
    """A training that is ready for its first step, compiled where a mode is given."""
    job, _ = assemble(loads(text, edits=(*SHORT, *edits)), Places(root=data_root()))
    if mode != "eager":
        compile_network(job.model, mode, job.said.append)
    job.model.train()
    return job


def trained(job: Training, steps: int, between: Callable[[Training], None] = lambda job: None) -> list[torch.Tensor]:
    """The losses of so many steps, the weights, and those that would be scored; `between` is called before each step."""
    losses, end = [], job.step + steps
    while job.step < end:
        for places in itertools.islice(job.rest_of_epoch(), end - job.step):
            between(job)
            torch.manual_seed(job.step)
            losses.append(advance(job, places).loss)
    scored, _ = job.wiring.scored(job.model)
    return [torch.stack(losses), *(weight.detach() for model in (job.model, scored) for weight in model.parameters())]


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor], share: float) -> None:
    """Every tensor differs by at most this share of its own length."""
    for mine, other in zip(ours, theirs, strict=True):
        assert float((mine.double() - other.double()).norm()) <= share * float(other.double().norm()) + 1e-12


@pytest.mark.parametrize("network", [(), (RESNET, "optimizer.lr=1e-3"), (VIT,)])
def test_channels_last_trains_the_same_network(network: tuple[str, ...]):
    plain, last = job_of(*network), job_of(*network, "train.channels_last=on")
    same(trained(last, 6), trained(plain, 6), 1e-4 if RESNET in network else 1e-5)
    filters = [weight for weight in last.model.parameters() if weight.ndim == 4 and weight.shape[1] > 1 and weight.shape[2] > 1]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in filters)


@pytest.mark.parametrize(("precision", "share"), [("tf32", 0.0), ("bf16", 0.03), ("fp16", 0.01)])
def test_a_number_format_trains_nearly_the_same_network(precision: str, share: float):
    """On the CPU tf32 is fp32. bf16 has 8 significant bits, fp16 has 11, and the weights stay in fp32."""
    plain, other = trained(job_of(), 8), trained(job_of(f"train.precision={precision}"), 8)
    same(other, plain, share)
    assert all(weight.dtype == torch.float32 for weight in other)
    assert precision == "tf32" or not all(map(torch.equal, other, plain)), "the switch does something"


def switching(name: str, on: int, off: int, job: Training) -> None:
    if job.step in (on, off):
        job.rewire(edit(job.recipe, f"tricks.{name}", "on" if job.step == on else "off"))


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    "edits",
    [
        (),
        ("tricks.weight_ema={warmup: off, decay: 0.9}",),
        ("tricks.swa={start: 0.1}",),
        ("tricks.freeze={layers: backbone, until_epoch: 1}",),
        ("tricks.freeze={layers: backbone, until_epoch: 1}", "optimizer.name=adam"),
        ("tricks.masked_token=on", VIT),
        ("tricks.train_resolution={start: 0.75}",),
        ("loss=triplet",),
        ("train.precision=bf16",),
        ("optimizer.name=adam", "tricks.sam=on"),
    ],
    ids=str,
)
def test_a_compiled_network_trains_as_it_would_uncompiled(edits: tuple[str, ...]):
    compiled = job_of(*edits, mode="default")
    same(trained(compiled, 12), trained(job_of(*edits), 12), 1e-6)
    assert compiled.said == []


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", ["dropout", "dropout_2d", "drop_block", "alpha_dropout", "mixup"])
def test_a_trick_that_is_switched_live_works_on_a_compiled_network(name: str):
    between = partial(switching, name, 3, 7)
    ours, theirs = trained(job_of(mode="default"), 10, between), trained(job_of(), 10, between)
    same(ours, theirs, 1e-6)
    without = trained(job_of(), 10)
    assert not torch.allclose(theirs[0], without[0]), "the trick does something"


@pytest.mark.usefixtures("traced")
def test_a_resume_may_be_compiled_or_not():
    """Weights move between compiled and uncompiled runs."""
    file, straight = io.BytesIO(), trained(job_of(), 12)
    compiled = job_of(mode="default")
    trained(compiled, 7)
    torch.save(compiled.state_dict(), file)
    for mode in ("eager", "default"):
        file.seek(0)
        other = job_of(mode=mode)
        other.load_state_dict(torch.load(file, weights_only=True))
        same(trained(other, 5)[1:], straight[1:], 1e-6)


@pytest.mark.usefixtures("traced")
def test_evaluations_see_the_same_units_and_scores(fly):
    """The counts of dead units come from hooks that live for a look."""
    from cockpit.runs.history import read_history

    edits = ("model.activation=relu", "train.epochs=12", "data.limit=100")
    plain, compiled = (read_history(fly(CNN, *edits, f"train.compile={mode}").run) for mode in ("eager", "default"))
    assert [seen.val_loss for seen in compiled.evaluations] == pytest.approx([seen.val_loss for seen in plain.evaluations])
    for column in ("dead", "alike", "update_ratio"):
        torch.testing.assert_close(*(torch.from_numpy(run.layers[column].copy()) for run in (compiled, plain)), equal_nan=True)


@pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")
def test_the_whole_compiler_changes_rounding_alone():
    torch._dynamo.reset()
    job = job_of(mode="default", text=TINY)
    same(trained(job, 8), trained(job_of(text=TINY), 8), 1e-5)
    assert job.said == [] and torch._dynamo.utils.counters["frames"]["ok"] >= 1


def test_a_compilation_that_fails_is_said_once_and_the_run_goes_on():
    torch._dynamo.reset()
    with torch._inductor.config.patch({"cpp.cxx": (None, "/nowhere/c++"), "fx_graph_cache": False}):
        job = job_of(mode="default", text=TINY)
        ours = trained(job, 8)
    assert all(map(torch.equal, ours, trained(job_of(text=TINY), 8)))
    (said,) = job.said
    assert said.startswith("train.compile: torch runs the network as it is, uncompiled; ") and "/nowhere/c++" in said


@pytest.mark.usefixtures("traced")
def test_compiling_too_often_is_said():
    with torch._dynamo.config.patch(recompile_limit=1):
        job = job_of(mode="default")
        same(trained(job, 6), trained(job_of(), 6), 1e-6)
    (said,) = job.said
    assert said.endswith("its shapes or hooks changed too often")


@pytest.mark.usefixtures("traced")
def test_answers_of_graphs_are_copies():
    """Where a graph's memory would be written over, what was kept of an earlier pass must stay."""
    job, x = job_of(mode="reduce-overhead"), torch.randn(4, 1, 8, 8)
    given: list[torch.Tensor] = []
    job.model.register_forward_hook(lambda *seen: given.append(seen[2]))
    answer = job.model(x)
    assert torch.equal(answer, given[0]) and answer.data_ptr() != given[0].data_ptr()
    same(trained(job, 6), trained(job_of(), 6), 1e-6)


@ON_GPU
@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_the_record_and_the_scores_keep_what_graphs_answer(mode: str, fly):
    """In fp32 nothing else copies the logits of a step before the next one."""
    from cockpit.runs.history import read_history

    edits = ("train.device=cuda", "train.epochs=4", "data.limit=100")
    plain, graphs = (read_history(fly(CNN, *edits, f"train.compile={kind}").run) for kind in ("eager", mode))
    assert graphs.ended is not None and graphs.ended.state == "finished"
    assert list(graphs.steps["loss"]) == pytest.approx(list(plain.steps["loss"]), rel=1e-3)
    assert graphs.evaluations[-1].val_loss == pytest.approx(plain.evaluations[-1].val_loss, rel=1e-3)


@ON_GPU
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compilation_and_cuda_graphs_train_the_same_network(mode: str):
    edits = ("train.device=cuda", "train.drop_last=on")
    same(trained(job_of(*edits, mode=mode), 12), trained(job_of(*edits), 12), 1e-4)


EPS = torch.finfo(torch.float32).eps


def stepped(name: str, kernels: dict[str, bool], steps: int = 50) -> list[torch.Tensor]:
    """Three weights after so many steps on gradients of many sizes."""
    draw = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(*shape, generator=draw)) for shape in ((7, 5), (12,), (3, 2, 3, 3))]
    optimizer = family("optimizer")[name].cls().build([{"params": weights}])
    for group in optimizer.param_groups:
        group.update(kernels)
    for step in range(steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=draw) * 10.0 ** (step % 5 - 3)
        optimizer.step()
    return [weight.detach() for weight in weights]


def kernels_of(name: str) -> set[str]:
    """The kinds of kernels that an optimizer may be asked for."""
    optimizer = family("optimizer")[name].cls().build([{"params": [nn.Parameter(torch.ones(2, 2))]}])
    return {"fused", "foreach"} & set(optimizer.param_groups[0])


KERNELS = [(name, kind) for name in family("optimizer") for kind in sorted(kernels_of(name))]


@pytest.mark.parametrize(("name", "kind"), KERNELS)
def test_kernels_for_many_weights_move_them_as_the_loop_over_weights_does(name: str, kind: str):
    plain = dict.fromkeys(kernels_of(name), False)
    many, each = stepped(name, plain | {kind: True}), stepped(name, plain)
    assert not all(map(torch.equal, each, stepped(name, plain, steps=49)))
    for one, other in zip(many, each, strict=True):
        ulp = torch.nextafter(other.abs(), torch.tensor(torch.inf)) - other.abs()
        assert float(((one - other).abs() / ulp).median()) <= 4
        torch.testing.assert_close(one, other, rtol=50 * EPS, atol=50 * EPS)


def test_the_optimizers_that_torch_has_a_kernel_for_take_it():
    assert {name for name, kind in KERNELS if kind == "fused"} >= {"sgd", "momentum", "nesterov", "adam", "adamw", "adagrad"}
    assert {name for name, kind in KERNELS if kind == "foreach"} >= {"rmsprop", "nadam", "radam", "adadelta", "lion", "lamb"}
