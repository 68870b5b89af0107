"""Where the images come from. The readers are imported when they read: the screen wants the cards at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from cockpit.cards import card, knob
from cockpit.families import Source

if TYPE_CHECKING:
    from cockpit.datasets.base import Dataset, Places


@card(
    "digits",
    when="The first flight, and every quick experiment: nothing to download, an epoch takes a moment.",
    beware="Small and easy: a trick that helps here may do nothing on photographs.",
    source="Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits; bundled with scikit-learn",
)
class Digits(Source):
    """Handwritten digits that come with scikit-learn: 1,797 grey images of 8x8 pixels, 10 classes.

    A fifth of each class, always the same images, is the sealed test set.
    """

    mirrors: ClassVar[bool] = False

    def read(self, places: Places) -> Dataset:
        """1,438 training images and 359 sealed ones."""
        from cockpit.datasets import digits

        return digits.read()


@card(
    "mnist",
    when="A larger first task that every textbook knows.",
    beware="Nearly solved: a plain CNN passes 99 %, so differences between tricks drown in the noise of the seed.",
    source="LeCun, Bottou, Bengio and Haffner 1998",
)
class Mnist(Source):
    """Handwritten digits: 60,000 + 10,000 grey images of 28x28 pixels, 10 classes."""

    mirrors: ClassVar[bool] = False

    def read(self, places: Places) -> Dataset:
        """The idx files, plain or gzipped, from anywhere under the data folder."""
        from cockpit.datasets import idx_sets

        return idx_sets.read(idx_sets.MNIST, places)


@card(
    "fashion_mnist",
    when="The cost of MNIST with room to improve: a plain CNN reaches 91 to 93 %.",
    beware="Its files bear the same names as those of MNIST; keep each set in a folder of its own.",
    source="Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747",
)
class FashionMnist(Source):
    """Articles of clothing: 60,000 + 10,000 grey images of 28x28 pixels, 10 classes."""

    def read(self, places: Places) -> Dataset:
        """The idx files, plain or gzipped, from anywhere under the data folder."""
        from cockpit.datasets import idx_sets

        return idx_sets.read(idx_sets.FASHION_MNIST, places)


@card(
    "kmnist",
    when="A harder MNIST: each class has several ways to be written.",
    beware="Do not flip: a mirrored character is another character or none.",
    source="Clanuwat et al. 2018, arXiv 1812.01718",
)
class Kmnist(Source):
    """Cursive Japanese characters: 60,000 + 10,000 grey images of 28x28 pixels, 10 classes."""

    mirrors: ClassVar[bool] = False

    def read(self, places: Places) -> Dataset:
        """The idx files, plain or gzipped, from anywhere under the data folder."""
        from cockpit.datasets import idx_sets

        return idx_sets.read(idx_sets.KMNIST, places)


@card(
    "cifar10",
    when="The usual small benchmark in colour; augmentation, schedules and residual nets show their worth.",
    beware="About 3 % of the test images have a near copy in the training set (Barz and Denzler 2020); slow without a GPU.",
    source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
)
class Cifar10(Source):
    """Photographs of animals and vehicles: 50,000 + 10,000 colour images of 32x32 pixels, 10 classes."""

    def read(self, places: Places) -> Dataset:
        """torchvision's layout: `cifar-10-batches-py` or its archive, anywhere under the data folder."""
        from cockpit.datasets import cifar

        return cifar.read(10, places)


@card(
    "cifar100",
    when="Regularisation and soft labels: 500 images a class invite overfitting.",
    beware="About 10 % of the test images have a near copy in the training set (Barz and Denzler 2020); slow without a GPU.",
    source="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
)
class Cifar100(Source):
    """Photographs of a hundred kinds of things: 50,000 + 10,000 colour images of 32x32 pixels, 100 classes."""

    def read(self, places: Places) -> Dataset:
        """torchvision's layout: `cifar-100-python` or its archive, anywhere under the data folder."""
        from cockpit.datasets import cifar

        return cifar.read(100, places)


@card(
    "folder",
    when="Your own images.",
    beware="Near copies of one scene fall on both sides of a random split; make train, val and test folders yourself then.",
    source="the layout of torchvision.datasets.ImageFolder",
)
class Folder(Source):
    """Your own images: one sub-folder for each class, or folders train, val and test that hold such sub-folders.

    The shorter side becomes `size` and the centre square is kept. Files may differ in size and mode; what is transparent
    becomes white, 16 bits become 8, and the camera's rotation is undone. Broken files are left out and named; where files are
    streamed, another of the class takes their place.
    """

    path: str = knob(help="the folder: inside the data folder, absolute, or from ~")
    size: int = knob(32, low=4, high=1024, help="pixels of each side")
    channels: Literal["auto", 1, 3] = knob("auto", help="auto takes 1 if every training image is grey, else 3")
    test: float = knob(0.2, above=0, high=0.5, help="share of each class that is sealed, where there is no folder test")

    def read(self, places: Places) -> Dataset:
        """Decode in parallel; the sealed images stay files until they are asked for."""
        from cockpit.datasets import folder

        channels = None if self.channels == "auto" else self.channels
        return folder.read(self.path, self.size, channels, self.test, places)


@card(
    "synthetic",
    when="Timing, tests, and seeing what noise, wrong labels or rare classes do while all else stays the same.",
    beware="Its classes are far simpler than photographs; scores say nothing about real data.",
    source="wrong labels as in Zhang et al. 2017, arXiv 1611.03530; imbalance as in Cui et al. 2019, arXiv 1901.05555",
)
class Synthetic(Source):
    """Made-up images of any number and size: a smooth random pattern for each class, plus noise."""

    classes: int = knob(10, low=2, high=10_000, help="classes")
    size: int = knob(16, low=1, high=1024, help="pixels of each side")
    channels: int = knob(1, low=1, high=4, help="channels")
    train: int = knob(2000, low=4, high=10_000_000, help="training images; validation is taken from them")
    test: int = knob(500, low=1, high=10_000_000, help="sealed test images, the same number of each class")
    noise: float = knob(0.2, low=0, high=10, help="standard deviation of the pixel noise; the patterns have 0.2")
    label_noise: float = knob(
        0.0, low=0, high=1, help="share of the training labels made wrong, validation included; never the test's"
    )
    imbalance: float = knob(
        1.0, low=1, high=10_000, help="images of the first class for one of the last, falling geometrically"
    )
    seed: int = knob(0, low=0, help="seed of the images; not the seed of the run")

    def read(self, places: Places) -> Dataset:
        """Made anew at each call, always the same."""
        from cockpit.datasets import synthetic

        return synthetic.read(
            synthetic.Making(
                classes=self.classes,
                size=self.size,
                channels=self.channels,
                train=self.train,
                test=self.test,
                noise=self.noise,
                label_noise=self.label_noise,
                imbalance=self.imbalance,
                seed=self.seed,
            )
        )
