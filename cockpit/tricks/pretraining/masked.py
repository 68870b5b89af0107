"""Masked pretraining: the whole run learns from images without their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Outcome, Parts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cockpit.nets.masked import Mask, Tokens
    from cockpit.travel import Criterion, Forward, Objective

CLASS_IMAGES = 1000
"""Training images from which the class means of the shown scores are taken."""
CODED_PATCHES = 10_000
"""Patches among which the codes are sought."""
CONFLICTS = {
    "mixing": "a hidden patch of two mixed images has no one right answer",
    "multi_input": "one image is rebuilt at a time",
    "adversarial": "an attack needs a head that learns, and here none does",
    "gradient_penalty": "it teaches the network labels, and pretraining must not see them",
    "linear_probe": "one trains everything but the head, the other nothing but the head",
    "patch_dropout": "the patches are hidden already",
}
CAUTIONS = {
    "soft_targets": "pretraining uses no labels, so softening them changes nothing",
    "early_stopping": "the score is that of class means, which may stand still while the pretraining still learns",
}


class Learner(Protocol):
    """The module beside the network that turns what the network made of visible patches into a loss."""

    def learn(self, net: Tokens, forward: Forward, x: Tensor, mask: Mask) -> Outcome:
        """The masked loss of standardised images (B, C, H, W)."""


def tokens_of(model: nn.Module) -> Tokens:
    """The network as a vision transformer. ValueError where it is none, or where its images are too small to hide a part."""
    from torch import nn

    if not all(hasattr(model, name) for name in ("patches", "position", "blocks", "norm")):
        raise ValueError("masked pretraining needs tokens: model vit")
    heads = [layer for name, layer in model.named_children() if name.endswith("head")]
    if len(heads) != 1 or not isinstance(heads[0], nn.Linear) or heads[0].bias is None:
        raise ValueError("masked pretraining needs a network with one plain linear head: model vit, loss cross_entropy")
    return cast("Tokens", model)


def grid_of(net: Tokens, parts: Parts) -> tuple[int, int]:
    """Rows and columns of patches. ValueError where there is only one patch."""
    size = net.patches.kernel_size[0]
    rows, columns = parts.task.height // size, parts.task.width // size
    if rows * columns < 2:
        raise ValueError(
            f"patch {size} makes one token of an image, and some must be hidden and some shown; take a smaller patch"
        )
    return rows, columns


class Pretraining:
    """Puts a masked loss in the place of the loss of the classes, trains the learner's weights beside the network's, and
    lets the head, which nothing trains, answer with the nearest class mean."""

    def __init__(self, name: str, share: float, parts: Parts, net: Tokens, learner: nn.Module) -> None:
        from cockpit.nets.transfer import each_class

        self._name, self._share, self._train = name, share, parts.train
        self._model, self._net = parts.model, net
        rows, columns = grid_of(net, parts)
        self._patches = rows * columns
        self._learner = learner.to(net.position.device)
        self._places = each_class(parts.train.labels, parts.task.classes, CLASS_IMAGES, parts.stream(name))
        net.head.requires_grad_(False)

    def params(self, groups: list[dict[str, Any]], _: nn.Module) -> list[dict[str, Any]]:
        """The learner's weights are a group of their own."""
        return [*groups, {"params": list(self._learner.parameters())}]

    def objective(self, _: Objective, forward: Forward, __: Criterion) -> Objective:
        """The masked loss; the logits are those of the class means, of the visible patches."""
        from cockpit.nets.masked import draw_mask

        learner: Any = self._learner

        def masked(batch: Batch, at: Moment) -> Outcome:
            mask = draw_mask(len(batch.x), self._patches, self._share, at.stream(self._name), batch.x.device)
            outcome: Outcome = learner.learn(self._net, forward, batch.x, mask)
            return outcome

        return masked

    def evaluate(self, model: nn.Module) -> nn.Module:
        """The same network, its head set to the class means of a fixed, clean part of the training images."""
        from cockpit.nets.transfer import nearest_mean_head

        for net in dict.fromkeys((self._model, model)):
            nearest_mean_head(net, self._train, self._places)
        return model

    def state_dict(self) -> dict[str, Any]:
        """The learner's weights."""
        return dict(self._learner.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put saved weights back."""
        self._learner.load_state_dict(state)

    def close(self) -> None:
        """Let the head learn again."""
        self._net.head.requires_grad_(True)


@card(
    "masked_autoencoder",
    family="pretraining",
    seams=("params", "objective", "evaluate"),
    stage="forward views",
    tags=("no_labels",),
    conflicts={**CONFLICTS, "masked_token": "one masked loss for a run"},
    cautions=CAUTIONS,
    when="Many images and few labels: pretrain on all, then fine_tune from this run on the labelled ones.",
    beware="Wants a long run and light augmentation. Accuracy is that of the nearest class mean, the steps' loss is of pixels.",
    source="He et al. 2022, arXiv 2111.06377",
)
class MaskedAutoencoder(Toggle):
    """Hide most patches and learn to rebuild them; a vit is pretrained without labels for the whole run.

    The class head learns nothing. Before each evaluation it is set to the class means of a thousand clean training images, so
    the scores tell how well the features separate the classes; a plain network can load the checkpoints. The loss of the
    steps is the mean squared error on hidden patches, 1 or less with norm_pix for a network that knows nothing; it is not
    comparable to the loss of the evaluations, which is that of the class means.
    """

    mask: float = knob(0.75, low=0.1, high=0.9, help="share of the patches that are hidden")
    decoder_depth: int = knob(2, low=1, high=8, help="blocks of the decoder, which is thrown away")
    decoder_dim: int = knob(64, low=16, high=1024, help="numbers in a token of the decoder, a multiple of 4")
    norm_pix: bool = knob(True, help="rebuild each patch standardised by its own pixels")

    def __post_init__(self) -> None:
        if self.decoder_dim % 4:
            raise ValueError(f"decoder_dim takes a multiple of 4; take {self.decoder_dim // 4 * 4}")

    def plug(self, parts: Parts) -> Pretraining:
        """A decoder beside the network. ValueError where the network has no tokens."""
        from cockpit.nets.masked import PixelDecoder, drawn_from

        net = tokens_of(parts.model)
        if self.norm_pix and net.patches.in_channels * net.patches.kernel_size[0] ** 2 == 1:
            raise ValueError("a patch of one pixel has no spread to be standardised by; take norm_pix: off or a larger patch")
        with drawn_from(parts.stream("masked_autoencoder")):
            decoder = PixelDecoder(
                net, grid_of(net, parts), width=self.decoder_dim, depth=self.decoder_depth, norm_pix=self.norm_pix
            )
        return Pretraining("masked_autoencoder", self.mask, parts, net, decoder)


@card(
    "masked_token",
    family="pretraining",
    seams=("params", "objective", "evaluate"),
    stage="forward views",
    tags=("no_labels",),
    conflicts={**CONFLICTS, "masked_autoencoder": "one masked loss for a run"},
    cautions=CAUTIONS,
    when="To see BERT's idea on images; masked_autoencoder is cheaper, as it does not encode what is hidden.",
    beware="Codes are clusters of pixels, a toy beside BEiT's trained tokenizer. Accuracy is that of the nearest class mean.",
    source="Devlin et al. 2019, arXiv 1810.04805; Bao et al. 2022, arXiv 2106.08254",
    slide="The slide has masked image modelling begin with BEiT; context encoders (2016) and iGPT (2020) came earlier, "
    "and BEiT predicts codes where the masked autoencoder predicts pixels.",
)
class MaskedToken(Toggle):
    """Hide patches behind a learned token and learn to name their codes; a vit is pretrained without labels.

    The codes are k-means clusters of the patches of clean training images. So that the commonest code, the blank patch, does
    not drown the others, a patch weighs one over the root of how frequent its code is; the loss of knowing nothing is the
    logarithm of the number of codes. The class head is set as in masked_autoencoder.
    """

    mask: float = knob(0.4, low=0.1, high=0.9, help="share of the patches that are hidden")
    codes: int = knob(256, low=16, high=1024, help="number of codes")

    def plug(self, parts: Parts) -> Pretraining:
        """Find the codes. ValueError where the network has no tokens, or there are fewer different patches than codes."""
        import torch

        from cockpit.nets.masked import CodeHead, drawn_from, k_means, nearest, patches_of, seeds

        net, stream = tokens_of(parts.model), parts.stream("masked_token")
        rows, columns = grid_of(net, parts)
        images = torch.randperm(len(parts.train), generator=stream)[: -(-CODED_PATCHES // (rows * columns))]
        clean = parts.train.standardise(parts.train.take(images.to(parts.train.labels.device))).x
        patches = patches_of(clean, net.patches.kernel_size[0]).flatten(0, 1).cpu()
        centres = k_means(patches, seeds(patches, self.codes, stream))
        with drawn_from(stream):
            head = CodeHead(net, centres, torch.bincount(nearest(patches, centres), minlength=self.codes))
        return Pretraining("masked_token", self.mask, parts, net, head)
