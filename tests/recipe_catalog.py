"""A small catalogue of its own, so that the messages of the recipe tests do not change with each new trick."""

from typing import Literal

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag
from cockpit.families import Activation, Init, Loss, Model, Norm, Optimizer, Schedule, Score, Source, Toggle


@card("digits")
class Digits(Source):
    """Eight by eight digits."""


@card("folder")
class Folder(Source):
    """A folder of classes."""

    path: str = knob(help="the folder")
    size: int | None = knob(None, low=8, help="resize to this")


@card("accuracy")
class Accuracy(Score):
    """Share that is right."""


@card("relu", tags=("zero_gain",))
class Relu(Activation):
    """Rectifier."""


@card("leaky_relu")
class LeakyRelu(Activation):
    """Leaky rectifier."""

    negative_slope: float = knob(0.01, low=0, below=1, help="slope below 0")


@card("he_normal")
class HeNormal(Init):
    """He."""


@card("batch")
class Batch(Norm):
    """Batch norm."""


@card("none")
class NoNorm(Norm):
    """No norm."""


@card("small_cnn")
class SmallCnn(Model):
    """Convolutions."""

    pad: Literal["reflect", "zeros"] = knob("zeros", help="padding")


@card("mlp")
class Mlp(Model):
    """Dense layers."""

    widths: tuple[int, ...] = knob((128, 64), low=1, high=4096, help="units")
    dropouts: tuple[float, ...] | None = knob(None, low=0, below=1, help="dropout of each layer")

    def __post_init__(self) -> None:
        if not self.widths:
            raise ValueError("an mlp needs at least one width")


@card("cross_entropy")
class CrossEntropy(Loss):
    """Cross-entropy."""


@card("mse", tags=("hard_targets",))
class Mse(Loss):
    """Squared error."""


@card("sgd")
class Sgd(Optimizer):
    """Gradient descent."""

    lr: float = knob(0.05, above=0, live=True, help="rate")  # type: ignore[assignment]
    momentum: float = knob(0.9, low=0, below=1, live=True, help="memory")
    weight_decay: float = knob(0.0, low=0, live=True, help="decay")
    nesterov: bool = knob(False, help="look ahead")

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")


@card("adam", aliases=("adamax_free",))
class Adam(Optimizer):
    """Adam."""

    lr: float = knob(1e-3, above=0, live=True, help="rate")  # type: ignore[assignment]
    weight_decay: float = knob(0.0, low=0, live=True, help="decay")
    betas: tuple[float, ...] = knob((0.9, 0.999), low=0, below=1, help="memories")


@card("cosine")
class Cosine(Schedule):
    """Half a cosine."""

    floor: float = knob(0.0, low=0, high=1, live=True, help="share at the end")


@card("constant")
class Constant(Schedule):
    """No change."""


@card("mixup", family="mixing", seams=("batch",), stage="mix", live=True, tags=("soft_targets",), aliases=("mix_up",))
class Mixup(Toggle):
    """Blend."""

    alpha: float = knob(0.2, above=0, high=4, help="shape")
    per: Literal["batch", "sample"] = knob("batch", help="draw")


@card("cutmix", family="mixing", seams=("batch",), stage="mix", live=True, conflicts={"mixup": "a batch is mixed once"})
class Cutmix(Toggle):
    """Patch."""

    alpha: float = knob(1.0, above=0, help="shape")


@card("random_flip", family="augmentation", seams=("batch",), stage="pixels", live=True)
class RandomFlip(Toggle):
    """Mirror."""


@card(
    "label_smoothing", family="loss", seams=("loss",), aliases=("smoothing",), conflicts={"hard_targets": "mse takes classes"}
)
class LabelSmoothing(Toggle):
    """Soften."""

    epsilon: float = knob(0.1, low=0, below=1, help="share")


@card("self_norm", family="params", seams=("model", "params"), conflicts={"norm": "it replaces the norm layers"})
class SelfNorm(Toggle):
    """Normalise oneself."""


@card("weight_ema", family="averaging", seams=("weights", "evaluate"), stage="average")
class WeightEma(Toggle):
    """Average."""

    decay: float = knob(0.999, above=0, below=1, help="memory")
    every: int = knob(1, low=1, live=True, help="steps")
    start: int | None = knob(None, low=0, help="first step")


@card("overfitting")
class Overfitting(Flag):
    """Gap."""

    patience: int = knob(3, low=1, high=50, help="looks")


@card("dead_relu")
class DeadRelu(Flag):
    """Dead units."""


CARDS = tuple(
    cls.card
    for cls in (
        *(Accuracy, Digits, Folder, Relu, LeakyRelu, HeNormal, Batch, NoNorm, SmallCnn, Mlp, CrossEntropy, Mse, Sgd, Adam),
        *(Cosine, Constant, Mixup, Cutmix, RandomFlip, LabelSmoothing, SelfNorm, WeightEma, Overfitting, DeadRelu),
    )
)
