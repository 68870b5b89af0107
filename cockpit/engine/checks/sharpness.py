"""The top eigenvalue of the Hessian by power iteration: plain gradient descent is stable below lr = 2 / eigenvalue (Cohen et
al. 2021, arXiv 2103.00065).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cockpit.engine import randomness
from cockpit.engine.checks.bare import clean_batch
from cockpit.engine.checks.found import Found
from cockpit.engine.checks.untouched import untouched
from cockpit.engine.training import Training

Product = Callable[[list[Tensor]], list[Tensor]]


def sharpness(job: Training, *, iters: int = 20, images: int = 512) -> Found:
    """Largest curvature of the loss where the weights stand, in fp32 and evaluation mode on clean images."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    x, y = clean_batch(job, images)
    with untouched(job), sdpa_kernel(SDPBackend.MATH), torch.compiler.set_stance("force_eager"):
        job.model.eval()
        weights = [weight for weight in job.model.parameters() if weight.requires_grad]
        loss = job.criterion(job.model(x).float(), y)
        slopes = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
        used = [(w, g) for w, g in zip(weights, slopes, strict=True) if g is not None and g.requires_grad]

        def product(vector: list[Tensor]) -> list[Tensor]:
            along = torch.stack([(g * v).sum() for (_, g), v in zip(used, vector, strict=True)]).sum()
            found = torch.autograd.grad(along, [w for w, _ in used], retain_graph=True, allow_unused=True)
            return [torch.zeros_like(w) if each is None else each for (w, _), each in zip(used, found, strict=True)]

        start = randomness.stream(job.recipe.seed, "sharpness", 0)
        vector = [torch.randn(w.shape, generator=start).to(w.device) for w, _ in used]
        top = top_eigenvalue(product, vector, iters) if used else 0.0
    now = job.recipe.optimizer.lr
    if not math.isfinite(top):
        return Found("sharpness", False, "not measurable: the curvature of the loss is not finite where the weights stand")
    if top <= 0:
        return Found("sharpness", True, "the loss is flat here: no positive curvature found", numbers={"eigenvalue": top})
    limit = 2 / top
    headline = (
        f"top Hessian eigenvalue {top:.3g}: plain gradient descent is stable below lr {limit:.2g}; the recipe has {now:.2g}"
    )
    note = "momentum b raises the limit to (1 + b) times that; adaptive optimizers have limits of their own"
    return Found("sharpness", True, headline, (note,), {"eigenvalue": top, "limit": limit, "now": now})


def top_eigenvalue(product: Product, vector: list[Tensor], iters: int) -> float:
    """The largest eigenvalue by power iteration, which finds the largest in size.

    Where that is negative, or two of opposite sign are so alike that it cannot settle, the matrix is shifted until no
    eigenvalue is much below 0, and asked again. Both answers lie below the largest eigenvalue, so the larger one is taken.
    """
    found, size, settled = _power(product, vector, iters)
    if settled and found >= 0:
        return found
    shifted, _, _ = _power(lambda v: [hv + size * each for hv, each in zip(product(v), v, strict=True)], vector, iters)
    return max(found, shifted - size)


def _power(product: Product, vector: list[Tensor], iters: int) -> tuple[float, float, bool]:
    """v'Hv and |Hv| at the last unit vector v, and whether v is an eigenvector by now."""
    value = size = last = 0.0
    for _ in range(iters):
        norm = _norm(vector)
        vector = [each / norm for each in vector]
        turned = product(vector)
        value = float(sum((v * hv).sum() for v, hv in zip(vector, turned, strict=True)))
        size = float(_norm(turned))
        if size == 0 or (abs(value - last) < 1e-3 * abs(value) and abs(value) > 0.99 * size):
            return value, size, True
        last, vector = value, turned
    return value, size, False


def _norm(vector: list[Tensor]) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(torch.cat([each.flatten() for each in vector]))
    return norm
