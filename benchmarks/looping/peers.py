"""Other libraries with equal settings, as their users would set them up, on the very network and images of a case.

"resident" takes the batches of the plain loop, from bytes on the device, so that what is left is the loop alone; the others
take torch's DataLoader over the standardised tensors, shuffled, without workers.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from cockpit.bench.cases import Case
from looping import peers_hf, peers_lightning, peers_timm
from looping.kit import Kit
from looping.worker import Column, Gate, drive


def _hf(resident: bool, case: Case, gate: Gate, folder: Path) -> None:
    peers_hf.train(Kit.of(case), gate, folder, resident)


def _lightning(resident: bool, default: bool, case: Case, gate: Gate, folder: Path) -> None:
    peers_lightning.train(Kit.of(case), gate, folder, resident=resident, default=default)


def _accelerate(resident: bool, case: Case, gate: Gate, _: Path) -> None:
    drive(accelerated(Kit.of(case), resident), gate)


def _timm(resident: bool, case: Case, gate: Gate, _: Path) -> None:
    drive(peers_timm.loop(Kit.of(case), resident), gate)


def accelerated(kit: Kit, resident: bool) -> Iterator[None]:
    """Accelerate's five lines in a plain loop."""
    import torch
    from accelerate import Accelerator

    accelerator = Accelerator()
    optimizer, schedule = kit.optimizer()
    model, optimizer, schedule = accelerator.prepare(kit.model, optimizer, schedule)
    batches: Iterable = kit.resident() if resident else accelerator.prepare(kit.loader())
    while True:
        right = torch.zeros((), dtype=torch.int64, device=accelerator.device)
        for x, y in batches:
            logits = model(x)
            loss = torch.nn.functional.cross_entropy(logits, y)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            right += (logits.argmax(1) == y).sum()
            yield


def _imports(*names: str) -> None:
    import importlib

    for name in ("cockpit.bench.loops", *names):
        importlib.import_module(name)


_ACCELERATE, _LIGHTNING, _HF, _TIMM = (
    partial(_imports, *names.split())
    for names in ("accelerate", "lightning.pytorch", "transformers accelerate", "timm.data timm.optim timm.scheduler")
)
COLUMNS = {
    "Lightning": Column(_LIGHTNING, partial(_lightning, False, False)),
    "Lightning, resident": Column(_LIGHTNING, partial(_lightning, True, False)),
    "Lightning as it comes": Column(_LIGHTNING, partial(_lightning, False, True)),
    "HF Trainer": Column(_HF, partial(_hf, False)),
    "HF Trainer, resident": Column(_HF, partial(_hf, True)),
    "Accelerate": Column(_ACCELERATE, partial(_accelerate, False)),
    "Accelerate, resident": Column(_ACCELERATE, partial(_accelerate, True)),
    "timm": Column(_TIMM, partial(_timm, False)),
    "timm, resident": Column(_TIMM, partial(_timm, True)),
}
