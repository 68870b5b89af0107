"""A case as a recipe: what our own names call its parts, and where a recipe says it a little differently."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diagnosing.cases import Case, reference

DEVIATIONS: Mapping[str, str] = {
    "two outputs": "one output under a binary cross-entropy became two under cross-entropy: the same loss of the difference of "
    "the two, which moves twice as fast",
    "softmax": "one sigmoid output under the mean absolute error became a softmax of two",
    "stem": "the batch norm of the residual stem stands after its activation, and the stem keeps its bias",
    "balanced": "class weights are the inverse shares of the drawn classes, not of the planned ones",
    "accumulate": "a step holds the batches it accumulates, so an epoch has so many times fewer steps",
    "order": "images come in another random order, and weights from another random stream, at the same seed",
}
"""Every way in which a recipe differs from its case. `order` holds for all."""

ACTIVATIONS = {
    **{name: name for name in ("relu", "sigmoid", "tanh", "elu", "selu", "gelu")},
    "leaky_relu": {"name": "leaky_relu", "negative_slope": 0.1},
    "linear": "identity",
    "none": "identity",
}
SCHEDULES = ("constant", "cosine", "linear", "onecycle", "step", "exponential_per_step")
TRICKS = ("mixup", "cutmix", "label_smoothing", "clip_gradients", "weight_ema", "no_decay_on_norms_and_biases")
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adadelta", "adagrad")


class NotARecipeError(Exception):
    """The case asks for what a recipe cannot say; the text names it."""


def recipe(case: Case, seed: int, folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The tree of the recipe and its deviations; the data lie under `folder`. Raises NotARecipeError."""
    spec = case.spec
    if spec["defects"]:
        raise NotARecipeError(f"a defect of the loop: {', '.join(spec['defects'])}")
    loss, deviations = _loss(spec)
    model, more = _model(spec)
    train = spec["train"]
    tree = {
        "about": f"{case.id}: {spec['symptom']}",
        "seed": seed,
        "data": {"source": "arrays", "path": str(arrays(case, seed, folder)), "test": 0, "standardise": _standardise(spec)},
        "model": model,
        "loss": loss,
        "optimizer": _optimizer(spec["optimizer"]),
        "schedule": _schedule(spec),
        "train": {
            "epochs": train["epochs"],
            "batch_size": train["batch_size"],
            "drop_last": bool(train.get("drop_last", False)),
            "device": "cpu",
            "precision": "fp32",
        },
        "tricks": _tricks(spec),
    }
    if train.get("accumulate", 1) > 1:
        more = (*more, "accumulate")
    return tree, (*deviations, *more)


def arrays(case: Case, seed: int, folder: Path) -> Path:
    """The data of a case as the reference makes them, in a file that cases of the same data share."""
    data = dict(case.spec["data"])
    if _standardise(case.spec) == "train":
        data["scaling"] = "raw"  # the recipe standardises
    key = hashlib.sha256(json.dumps([data, seed], sort_keys=True).encode()).hexdigest()[:16]
    file = folder / f"{data['source']}-{key}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        x, y, x_val, y_val = (each.numpy() for each in reference(case.file).make_data(data, seed))
        partial = folder / f".{key}-{id(x)}.npz"
        np.savez(partial, x=x, y=y, x_val=x_val, y_val=y_val)
        partial.replace(file)
    return file.absolute()


def _standardise(spec: Mapping[str, Any]) -> str:
    data = spec["data"]
    return "train" if data.get("scaling") == "standardised" and data.get("val_scaling") in (None, "standardised") else "none"


def _model(spec: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    model = spec["model"]
    family, normed = model["family"], model.get("norm") == "batch"
    momentum = model.get("bn_momentum", 0.1)
    if momentum <= 0:
        raise NotARecipeError("batch norm that never updates its statistics")
    if model.get("zero_init_head") or model.get("dropout_kind"):
        raise NotARecipeError("a head of zeros, or alpha dropout")
    activation = model.get("activation", "relu")
    if activation not in ACTIVATIONS:
        raise NotARecipeError(f"activation {activation}")
    norm = {"name": "batch", "momentum": momentum}
    common = {"activation": ACTIVATIONS[activation], "init": _init(model.get("init", "default"))}
    if family == "mlp" and not model.get("dropout") and not model.get("input_dropout"):
        return {"name": "mlp", "widths": list(model["hidden"]), "norm": norm if normed else "none", **common}, ()
    if family == "mlp":
        after = [*(["bn"] if normed else []), *([f"do{model['dropout']}"] if model.get("dropout") else [])]
        first = [f"do{model['input_dropout']}"] if model.get("input_dropout") else []
        words = [*first, *(word for units in model["hidden"] for word in (f"fc{units}", *after))]
        return {"name": "layers", "layers": " ".join(words), "norm": norm, **common}, ()
    if family == "cnn":
        return {"name": "layers", "layers": model["layers"], "norm": norm, **common}, ()
    if family == "resnet":
        return {"name": "layers", "layers": _residual(model), "norm": norm if normed else "none", **common}, ("stem",)
    raise NotARecipeError(f"network {family}")


def _residual(model: Mapping[str, Any]) -> str:
    widths, blocks = model["widths"], model.get("blocks", 1)
    words = [f"c{widths[0]}k3same", "bn"]
    for stage, maps in enumerate(widths):
        words += [f"r{maps}s2" if stage and not number else f"r{maps}" for number in range(blocks)]
    return " ".join([*words, "gap"])


def _init(init: str | Mapping[str, Any]) -> Any:
    """Our name of an initialisation, with its numbers."""
    given = {"name": init} if isinstance(init, str) else dict(init)
    if given.get("bias"):
        raise NotARecipeError("biases that do not start at 0")
    names: dict[str, Any] = {
        "default": "torch_default",
        "zeros": "zeros",
        "ones": {"name": "constant", "value": 1.0},
        "lecun_normal": "lecun_normal",
        "he_normal": {"name": "he_normal", "a": 0},
        "he_uniform": {"name": "he_uniform", "a": 0},
        "xavier_normal": {"name": "glorot_normal", "gain": 1},
        "xavier_uniform": {"name": "glorot_uniform", "gain": 1},
        "normal": {"name": "normal_001", "std": given.get("std")},
        "truncated_normal": {"name": "trunc_normal_002", "std": given.get("std")},
        "uniform": {"name": "uniform", "bound": given.get("bound")},
        "constant": {"name": "constant", "value": given.get("value")},
    }
    if given["name"] not in names:
        raise NotARecipeError(f"initialisation {given['name']}")
    return names[given["name"]]


def _loss(spec: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The loss and the deviations that its outputs need."""
    loss, outputs, end = spec["loss"], spec["model"]["outputs"], spec["model"].get("output_activation", "none")
    if loss.get("reduction", "mean") != "mean":
        raise NotARecipeError(f"a loss reduced by {loss['reduction']}")
    name = loss["name"]
    binary = outputs == 1 and spec["data"].get("classes", 2) == 2
    if (name, end, binary) == ("mae", "sigmoid", True):
        return {"name": "mae", "on": "softmax"}, ("softmax",)
    if end != "none":
        raise NotARecipeError(f"a network that ends in {end}")
    if name == "bce_with_logits" and binary:
        return "cross_entropy", ("two outputs",)
    if name == "cross_entropy" and loss.get("class_weights"):
        return {"name": "cross_entropy", "class_weight": "balanced"}, ("balanced",)
    if name == "cross_entropy" and outputs > 1:
        return "cross_entropy", ()
    raise NotARecipeError(f"the loss {name} on {outputs} output(s)")


def _optimizer(given: Mapping[str, Any]) -> dict[str, Any]:
    if given["name"] not in OPTIMIZERS or "l1" in given or given["lr"] <= 0:
        raise NotARecipeError(f"optimizer {dict(given)}")
    listed = {"betas": list(given["betas"])} if "betas" in given else {}
    return {"weight_decay": 0.0, **given, **listed}


def _schedule(spec: Mapping[str, Any]) -> Any:
    given = spec["schedule"]
    name = given["name"]
    if name not in SCHEDULES:
        raise NotARecipeError(f"schedule {name}")
    steps = math.ceil(spec["data"]["train"] / spec["train"]["batch_size"])
    warm = {"warmup_epochs": given["warmup_epochs"], "warmup_from": 0.0} if given.get("warmup_epochs") else {}
    if name == "step":
        every = given["every_epochs"] if "every_epochs" in given else given["every_steps"] / steps
        return {"name": "step", "every": every, "gamma": given["gamma"], **warm}
    if name == "exponential_per_step":
        return {"name": "exponential", "final": given["gamma"] ** (steps * spec["train"]["epochs"]), **warm}
    return {"name": "one_cycle" if name == "onecycle" else name, **warm}


def _tricks(spec: Mapping[str, Any]) -> dict[str, Any]:
    given = spec["tricks"] or {}
    strange = set(given) - set(TRICKS)
    if strange:
        raise NotARecipeError(f"trick {', '.join(sorted(strange))}")
    names = {"clip_gradients": "grad_clip", "no_decay_on_norms_and_biases": "no_decay_1d"}
    tricks: dict[str, Any] = {names.get(name, name): dict(knobs or {}) or True for name, knobs in given.items()}
    if "clip_gradients" in given:
        tricks["grad_clip"] = {"max_norm": given["clip_gradients"]["norm"]}
    if spec["train"].get("accumulate", 1) > 1:
        tricks["grad_accumulation"] = {"steps": spec["train"]["accumulate"]}
    if spec["model"].get("zero_init_residual"):
        tricks["zero_last_gamma"] = True
    if spec["model"].get("stochastic_depth"):
        tricks["stochastic_depth"] = {"rate": spec["model"]["stochastic_depth"], "mode": "batch"}
    return tricks
