"""Small models of every family, with tokenizers and preprocessing, made in milliseconds."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from models.tiny import Small, make
from qkv.image.preprocessing import Preprocessing
from qkv.model import Reader, Translator, Viewer, Writer
from qkv.models.family import Encoder, EncoderDecoder, PictureNet
from qkv.text.tokenizer import train_tokenizer
from qkv.text.train import train_byte_bpe, train_wordpiece

TEXTS = ("the small cat sees a red bird", "a tall house sees the old cat", "le petit chat voit un oiseau rouge")


@cache
def tokenizers() -> dict[str, Any]:
    """Return one tokenizer of each kind."""
    return {
        "words": train_tokenizer("words", TEXTS),
        "pieces": train_wordpiece(TEXTS, 80),
        "bytes": train_byte_bpe(TEXTS, 280),
    }


def model_of(small: Small, **changes: Any) -> Any:
    """Return a model whose net is that of a small configuration, with a vocabulary for TEXTS."""
    net = small.family.net
    if issubclass(net, PictureNet):  # type: ignore[arg-type]
        n, size = small.cfg.n_channels, small.cfg.picture_size
        return Viewer(make(small, **changes), Preprocessing(size=size, mean=(0.4,) * n, std=(0.3,) * n))
    encodes, translates = issubclass(net, Encoder), issubclass(net, EncoderDecoder)  # type: ignore[arg-type]
    tokenizer = tokenizers()["words" if translates else "pieces" if encodes else "bytes"]
    sizes = {"vocab_size": tokenizer.vocab_size, "max_len": 40}
    if getattr(small.cfg, "target_vocab_size", None) is not None:
        sizes["target_vocab_size"] = tokenizer.vocab_size
    if hasattr(small.cfg, "end_ids"):
        sizes["end_ids"] = (tokenizer.end_id,)
    made = make(Small(small.family, replace(small.cfg, **sizes | changes)))
    if translates:
        return Translator(made, tokenizer, tokenizer)
    return Reader(made, tokenizer) if encodes else Writer(made, tokenizer)


def given_to(model: Any) -> Any:
    """Return an input that a model reads: a text or a picture."""
    if isinstance(model, Viewer):
        n = model.preprocessing.n_channels
        return np.random.default_rng(0).random((30, 44, n), dtype=np.float32)
    return TEXTS[0]
