"""What is trained to measure the loop: small and large steps, on images that are made up on the spot. Needs no torch."""

from dataclasses import dataclass

from cockpit.recipe import Recipe, loads


@dataclass(frozen=True)
class Case:
    """A network, its images and the batch of a step."""

    name: str
    model: str
    size: int
    channels: int
    batch: int
    images: int
    """Training images; enough that epochs do not end every moment."""

    def recipe(self, *edits: str) -> Recipe:
        """SGD with momentum and a cosine in fp32, without end; `path=value` edits on top."""
        data = f"{{source: synthetic, size: {self.size}, channels: {self.channels}, train: {self.images}, test: 100}}"
        optimizer = "{name: sgd, lr: 0.02, momentum: 0.9, weight_decay: 0}"
        train = f"{{epochs: 100000, batch_size: {self.batch}, precision: fp32}}"
        return loads(
            f"data: {data}\nmodel: {self.model}\noptimizer: {optimizer}\nschedule: cosine\ntrain: {train}\n", edits=edits
        )


MLP, CNN = "{name: mlp, widths: [64]}", "{name: small_cnn, widths: [32, 64, 128], convs: 1}"
RESNET, VIT = "{name: resnet, depth: 20}", "{name: vit, patch: 4, dim: 96, depth: 4, heads: 3}"
CASES = {
    "mlp-64": Case("MLP 64, 8x8, batch 64", MLP, 8, 1, 64, 60_000),
    "mlp-512": Case("MLP 64, 8x8, batch 512", MLP, 8, 1, 512, 200_000),
    "cnn-32": Case("small CNN, 28x28, batch 32", CNN, 28, 1, 32, 8_000),
    "cnn-128": Case("small CNN, 28x28, batch 128", CNN, 28, 1, 128, 8_000),
    "resnet-64": Case("ResNet-20, 32x32, batch 64", RESNET, 32, 3, 64, 4_000),
    "vit-64": Case("ViT 96x4, 32x32, batch 64", VIT, 32, 3, 64, 4_000),
}
"""By the name that benchmarks/loop.py --cases takes."""
