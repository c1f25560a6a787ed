"""BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) and its family: one net, other tokens and heads.

ClinicalBERT (Alsentzer et al. 2019, https://aclanthology.org/W19-1909/) and RoBERTa (Liu et al. 2019,
https://arxiv.org/abs/1907.11692), CamemBERT (Martin et al. 2020, https://aclanthology.org/2020.acl-main.645/), XLM-R
(Conneau et al. 2020, https://aclanthology.org/2020.acl-main.747/), DistilBERT (Sanh et al. 2019,
https://arxiv.org/abs/1910.01108). Reference: transformers 5.23, `models/bert`, `roberta`, `camembert`, `xlm_roberta`,
`distilbert` (bert_files.py). Positions count real tokens, wherever the padding lies, as RoBERTa's always did.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qkv.base.config import check_ranges, from_dict
from qkv.base.errors import ConfigError, ShapeError
from qkv.models.bert_files import LAYOUTS, aliases, fit, from_hf, rules, to_hf
from qkv.models.family import Encoder, Family, Format, MapSpec, Published
from qkv.nn.attention import Attention
from qkv.nn.block import Block, Stack
from qkv.nn.heads import LabelHead, MaskedHead, first_of
from qkv.nn.linear import Linear
from qkv.nn.mlp import Mlp
from qkv.nn.table import TokenTable
from qkv.nn.where import Where
from qkv.ops.masks import keys_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One encoder of texts.

    layout: whose files hold it. n_segments: 0 for DistilBERT, which has none. first_position: RoBERTa counts from
    pad_id + 1. pooler: a layer over the first token, trained with pairs of sentences. head: "mlm" scores tokens,
    "pretraining" also whether a second sentence follows, "classify" labels the text, "tag" each token; dropout_head is
    that of the last two, `dropout` if None. summary: what "classify" reads: the pooler, or a layer of its own.
    """

    vocab_size: int = 30522
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_ff: int = 3072
    max_len: int = 512
    n_segments: int = 2
    first_position: int = 0
    act: Literal["gelu", "relu", "silu", "gelu_tanh"] = "gelu"
    eps: float = 1e-12
    dropout: float = 0.1
    dropout_attention: float = 0.1
    dropout_head: float | None = None
    pooler: bool = True
    summary: Literal["pooler", "tanh", "relu"] = "pooler"
    head: Literal["mlm", "pretraining", "classify", "tag"] | None = None
    n_labels: int = 2
    pad_id: int = 0
    layout: Literal["bert", "roberta", "camembert", "xlm-roberta", "distilbert"] = "bert"

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.d_model % self.n_heads:
            raise ConfigError(f"d_model ({self.d_model}) must be a multiple of n_heads ({self.n_heads}).")
        if not self.pooler and (self.head == "pretraining" or (self.head, self.summary) == ("classify", "pooler")):
            raise ConfigError(f'head "{self.head}" reads the pooler, but pooler is False.')


class Bert(Encoder):
    """Token, position and segment vectors, a norm, a post-norm stack; the first token stands for the text."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg, d = cfg, cfg.d_model
        norm = partial(nn.LayerNorm, eps=cfg.eps)
        self.token = TokenTable(cfg.vocab_size, d, padding_idx=cfg.pad_id)
        self.position = nn.Embedding(cfg.first_position + cfg.max_len, d)
        if cfg.n_segments:
            self.segment = nn.Embedding(cfg.n_segments, d)
        self.norm, self.drop = norm(d), nn.Dropout(cfg.dropout)
        self.stack = Stack(
            [
                Block(
                    d,
                    Attention(d, cfg.n_heads, dropout=cfg.dropout_attention),
                    Mlp(d, cfg.d_ff, cfg.act),
                    norm,
                    dropout=cfg.dropout,
                )
                for _ in range(cfg.n_layers)
            ]
        )
        if cfg.pooler:
            self.pooler = Linear(d, d)
        if cfg.head in ("mlm", "pretraining"):
            self.head = MaskedHead(d, cfg.vocab_size, cfg.act, cfg.eps)
        elif cfg.head:
            act = cfg.summary if cfg.head == "classify" and cfg.summary != "pooler" else None
            dropout = cfg.dropout if cfg.dropout_head is None else cfg.dropout_head
            self.head = LabelHead(d, cfg.n_labels, act=act, dropout=dropout)
        if cfg.head == "pretraining":
            self.follows = Linear(d, 2)
        self._draw_weights()

    def _draw_weights(self) -> None:
        """N(0, 0.02) for products and tables, as section A.2's code; biases and the padding's row are zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.token.weight[self.cfg.pad_id])

    def encode(
        self,
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
        segments: Int[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Return the state of every token."""
        return self.stack(self.embed(ids, mask, segments), Where(mask=None if mask is None else keys_mask(mask)))

    def embed(
        self,
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
        segments: Int[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Return what the stack reads of every token: what it is, where it stands, and in which segment."""
        if ids.size(1) > self.cfg.max_len:
            raise ShapeError(
                f"Input has {ids.size(1)} tokens; this model has {self.cfg.max_len} positions. Shorten or split it."
            )
        if mask is None:
            at = torch.arange(ids.size(1), device=ids.device)[None]
        else:
            at = (mask.long().cumsum(-1) - 1).clamp(min=0)
        x = self.token(ids) + self.position(at + self.cfg.first_position)
        if self.cfg.n_segments:
            x = x + self.segment(torch.zeros_like(ids) if segments is None else segments)
        return self.drop(self.norm(x))

    def summary(self, states: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"] | None = None) -> Float[Tensor, "b m"]:
        """Return one vector per text: that of its first token, through the pooler if there is one."""
        first = first_of(states, mask)
        return self.pooler(first).tanh() if self.cfg.pooler else first

    def forward(
        self,
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
        segments: Int[Tensor, "b t"] | None = None,
        keep: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "*n k"]:
        """Return what the head says: token logits, all or those that `keep` marks; label logits; else states."""
        return self.answer(self.encode(ids, mask, segments), mask, keep)

    def answer(
        self,
        states: Float[Tensor, "b t m"],
        mask: Bool[Tensor, "b t"] | None = None,
        keep: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "*n k"]:
        """Return what the head says of states."""
        if self.cfg.head == "classify":
            return self.head(self.summary(states, mask) if self.cfg.summary == "pooler" else first_of(states, mask))
        states = states if keep is None else states[keep]
        if self.cfg.head in ("mlm", "pretraining"):
            return self.head(states, self.token.logits)
        return self.head(states) if self.cfg.head else states

    def next_sentence(
        self, states: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b 2"]:
        """Return the logits of "the second sentence follows the first" and "it does not": section 3.1, task 2."""
        return self.follows(self.summary(states, mask))


def maps(cfg: Config) -> tuple[MapSpec, ...]:
    """Return the attention maps of one pass, in call order."""
    return tuple(MapSpec(i, "self", "text", "text", cfg.n_heads) for i in range(cfg.n_layers))


_BASE = Config()
_LARGE = replace(_BASE, d_model=1024, n_layers=24, n_heads=16, d_ff=4096)
_ROBERTA = {"n_segments": 1, "first_position": 2, "eps": 1e-5, "pad_id": 1, "summary": "tanh", "layout": "roberta"}
_XLM_R = _ROBERTA | {"vocab_size": 250_002, "layout": "xlm-roberta"}
_DISTILBERT = {"n_segments": 0, "pooler": False, "summary": "relu", "dropout_head": 0.2, "layout": "distilbert"}

SIZES = {
    "bert-tiny": replace(_BASE, d_model=128, n_layers=2, n_heads=2, d_ff=512),
    "bert-mini": replace(_BASE, d_model=256, n_layers=4, n_heads=4, d_ff=1024),
    "bert-small": replace(_BASE, d_model=512, n_layers=4, n_heads=8, d_ff=2048),
    "bert-medium": replace(_BASE, d_model=512, n_layers=8, n_heads=8, d_ff=2048),
    "bert-base-uncased": _BASE,
    "bert-large-uncased": _LARGE,
    "bert-base-cased": replace(_BASE, vocab_size=28996),
    "bert-large-cased": replace(_LARGE, vocab_size=28996),
    "bert-base-multilingual-cased": replace(_BASE, vocab_size=119_547),
    "clinicalbert": replace(_BASE, vocab_size=28996),
    "roberta-base": replace(_BASE, vocab_size=50265, **_ROBERTA),
    "roberta-large": replace(_LARGE, vocab_size=50265, **_ROBERTA),
    "camembert-base": replace(_BASE, vocab_size=32005, **_ROBERTA | {"layout": "camembert"}),
    "xlm-roberta-base": replace(_BASE, **_XLM_R),
    "xlm-roberta-large": replace(_LARGE, **_XLM_R),
    "distilbert-base-uncased": replace(_BASE, n_layers=6, **_DISTILBERT),
}

_PAPER = "Devlin et al. 2019, section 3"
PUBLISHED = {
    "bert-base-uncased": Published(110e6, _PAPER, "the paper rounds"),
    "bert-large-uncased": Published(340e6, _PAPER, "the paper rounds 335M, its pooler in, to 340M"),
    "roberta-base": Published(125e6, "Liu et al. 2019, model card", "the card rounds"),
    "roberta-large": Published(355e6, "Liu et al. 2019, section 4", "one row of segments and the pooler are counted"),
    "camembert-base": Published(110e6, "Martin et al. 2020, section 4", "the paper counts as BERT base's"),
    "xlm-roberta-base": Published(270e6, "Conneau et al. 2020, table 5", "the paper leaves out positions and pooler"),
    "xlm-roberta-large": Published(550e6, "Conneau et al. 2020, table 5", "the paper rounds"),
    "distilbert-base-uncased": Published(66e6, "Sanh et al. 2019, table 3", "the paper rounds"),
}

HF = Format(
    names=tuple(LAYOUTS),
    read_config=lambda config: from_dict(Config, from_hf(config), "config.json"),
    write_config=to_hf,
    rules=rules,
    fit=fit,
    aliases=aliases,
)

FAMILY = Family(
    name="bert",
    config=Config,
    net=Bert,
    sizes=SIZES,
    maps=maps,
    formats={"hf": HF},
    published=PUBLISHED,
)
