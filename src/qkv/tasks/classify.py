"""Classification: one label for a text, for a pair of texts, or for a picture."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from qkv.base import seeds
from qkv.base.errors import ConfigError, DataError
from qkv.data.labelled import Labelled
from qkv.metrics.classification import accuracy, macro_f1, majority
from qkv.models.family import Decoder, Encoder, PictureNet
from qkv.ops.losses import token_loss
from qkv.tasks.codec import TextCodec
from qkv.tasks.objective import JUDGED, Loss, Objective, Watch, batches

Augment = Callable[[Tensor, torch.Generator], Tensor]


class Classify(Objective):
    """Cross-entropy over labels, whatever they are given to.

    labels: their names, sorted; their places are the ids. smoothing: of the labels.
    """

    watch = Watch("accuracy", "higher")
    at_once: int

    def __init__(self, cfg: Any, labels: Sequence[str], *, smoothing: float = 0.0) -> None:
        if cfg.n_labels != len(labels):
            raise ConfigError(f"The data has {len(labels)} labels, the model {cfg.n_labels}. Give it a new head.")
        self.labels, self.smoothing = tuple(labels), smoothing
        self.ids = {label: i for i, label in enumerate(labels)}

    @abstractmethod
    def logits(self, net: Any, batch: Any) -> Float[Tensor, "b k"]:
        """Return what a net says of each row of a batch."""

    def loss(self, net: Any, batch: Any) -> Loss:
        """Return the loss of a batch."""
        losses = token_loss(self.logits(net, batch), batch.labels, smoothing=self.smoothing)
        return Loss(*losses, len(batch.labels))

    def figures(self, net: Any, examples: Sequence[Any]) -> dict[str, float]:
        """Return nats per example, accuracy and macro F1; majority: the accuracy of always saying the same label."""
        nats, said, true = 0.0, [], []
        for batch in batches(self, examples, self.at_once):
            logits = self.logits(net, batch)
            nats += token_loss(logits, batch.labels)[1].item()
            said += logits.argmax(-1).tolist()
            true += batch.labels.tolist()
        return {
            "loss": nats / len(true),
            "accuracy": accuracy(said, true),
            "macro_f1": macro_f1(said, true),
            "majority": majority(true),
        }


class TextExample(NamedTuple):
    """A text, or two in one, as a net reads it, and its label."""

    ids: list[int]
    segments: list[int]
    label: int


class TextBatch(NamedTuple):
    """Texts side by side, padded on the right; mask is None where none is padded."""

    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"] | None
    segments: Int[Tensor, "b t"]
    labels: Int[Tensor, "b"]


class TextClassify(Classify):
    """Label texts with an encoder or a decoder whose head is "classify".

    truncate: cut off what is beyond the net's positions, which else raises ShapeError.
    """

    unit, at_once = "texts", 4096

    def __init__(
        self, tokenizer: TextCodec, cfg: Any, labels: Sequence[str], *, smoothing: float = 0.0, truncate: bool = False
    ) -> None:
        super().__init__(cfg, labels, smoothing=smoothing)
        self.tokenizer, self.max_len, self.truncate = tokenizer, cfg.max_len, truncate
        self.filler = tokenizer.pad_id if tokenizer.pad_id is not None else 0

    def encode(self, row: Labelled) -> TextExample:
        """Return a row as ids."""
        if row.label not in self.ids:
            raise DataError(f'Label "{row.label}" is none of those the model knows: {", ".join(self.labels)}.')
        encoded = self.tokenizer.encode(row.text, row.pair, max_len=self.max_len, truncate=self.truncate)
        return TextExample(encoded.ids, encoded.segments, self.ids[row.label])

    def length(self, example: TextExample) -> int:
        """Return the tokens of a text."""
        return len(example.ids)

    def batch(self, examples: Sequence[TextExample]) -> TextBatch:
        """Return texts side by side."""
        lengths = torch.tensor([len(example.ids) for example in examples])
        longest = int(lengths.max())
        ids = torch.tensor([one.ids + [self.filler] * (longest - len(one.ids)) for one in examples])
        segments = torch.tensor([one.segments + [0] * (longest - len(one.ids)) for one in examples])
        mask = torch.arange(longest) < lengths[:, None]
        labels = torch.tensor([example.label for example in examples])
        return TextBatch(ids, None if mask.all() else mask, segments, labels)

    def logits(self, net: Encoder | Decoder, batch: TextBatch) -> Float[Tensor, "b k"]:
        """Return the logits of each text's label."""
        if isinstance(net, Encoder):
            return net(batch.ids, batch.mask, batch.segments)
        return net(batch.ids, batch.mask)


class PictureExample(NamedTuple):
    """A picture as a net looks at it, and its label."""

    picture: Float[Tensor, "c y x"]
    label: int


class PictureBatch(NamedTuple):
    """Pictures of one size."""

    pictures: Float[Tensor, "b c y x"]
    labels: Int[Tensor, "b"]


class PictureClassify(Classify):
    """Label pictures; examples are pairs of a tensor and a label's id.

    augment: changes a picture each time it is trained on, drawing from the generator it is given.
    """

    unit, at_once = "pictures", 64

    def __init__(
        self, cfg: Any, labels: Sequence[str], *, smoothing: float = 0.0, augment: Augment | None = None
    ) -> None:
        super().__init__(cfg, labels, smoothing=smoothing)
        self.augment = augment

    def length(self, example: tuple[Float[Tensor, "c y x"], int]) -> int:
        """Return 1: a budget counts pictures."""
        return 1

    def vary(self, example: tuple[Float[Tensor, "c y x"], int], *name: int | str) -> PictureExample:
        """Return the picture, augmented where it is to be trained on."""
        picture, label = example
        if self.augment and JUDGED not in name:
            picture = self.augment(picture, seeds.generator("augment", *name))
        return PictureExample(picture, label)

    def batch(self, examples: Sequence[PictureExample]) -> PictureBatch:
        """Return pictures side by side."""
        labels = torch.tensor([label for _, label in examples])
        return PictureBatch(torch.stack([picture for picture, _ in examples]), labels)

    def logits(self, net: PictureNet, batch: PictureBatch) -> Float[Tensor, "b k"]:
        """Return the logits of each picture's label."""
        return net(batch.pictures)
