"""GPT-1 (Radford et al. 2018), GPT-2 (Radford et al. 2019) and the sizes of GPT-3 (Brown et al. 2020): one net.

https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf,
https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf,
https://arxiv.org/abs/2005.14165. GPT-1 has its norms after the layers, GPT-2 and GPT-3 before them and one last.
Reference: transformers 5.23, `models/openai` and `models/gpt2` (gpt_files.py). GPT-3's public weights do not exist; its
layers that attend in bands are dense here, as they have the same parameters.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from qkv.base.config import check_ranges, from_dict
from qkv.base.errors import ConfigError
from qkv.models.decoding import TextDecoder, draw_weights, make_head, make_table
from qkv.models.family import Family, Format, MapSpec, Published
from qkv.models.gpt_files import aliases, fit, from_hf, rules, to_hf
from qkv.nn.attention import Attention
from qkv.nn.block import Block, Stack
from qkv.nn.mlp import Mlp


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One decoder of texts.

    head: "lm" scores the next token by the token table, "classify" labels the text, "tag" each token; dropout_head is
    that of "tag". end_ids: the tokens that end a text.
    """

    vocab_size: int = 50257
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_ff: int = 3072
    max_len: int = 1024
    pre_norm: bool = True
    act: Literal["gelu_tanh", "gelu", "relu", "silu"] = "gelu_tanh"
    eps: float = 1e-5
    dropout: float = 0.1
    dropout_attention: float = 0.1
    dropout_embed: float = 0.1
    dropout_head: float = 0.1
    head: Literal["lm", "classify", "tag"] | None = "lm"
    n_labels: int = 2
    start_id: int | None = None
    end_ids: tuple[int, ...] = ()
    pad_id: int | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.d_model % self.n_heads:
            raise ConfigError(f"d_model ({self.d_model}) must be a multiple of n_heads ({self.n_heads}).")


class Gpt(TextDecoder):
    """Token and position vectors, a causal stack, and the token table again for what comes next."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg, norm = cfg, partial(nn.LayerNorm, eps=cfg.eps)
        self.token = make_table(cfg, tied=True)
        self.position = nn.Embedding(cfg.max_len, cfg.d_model)
        self.drop = nn.Dropout(cfg.dropout_embed)
        blocks = [
            Block(
                cfg.d_model,
                Attention(cfg.d_model, cfg.n_heads, dropout=cfg.dropout_attention),
                Mlp(cfg.d_model, cfg.d_ff, cfg.act),
                norm,
                pre_norm=cfg.pre_norm,
                dropout=cfg.dropout,
            )
            for _ in range(cfg.n_layers)
        ]
        self.stack = Stack(blocks, norm(cfg.d_model) if cfg.pre_norm else None)
        self.head = make_head(cfg, tied=True)
        draw_weights(self)

    def embed(self, ids: Int[Tensor, "b t"], at: Int[Tensor, "#b t"]) -> Float[Tensor, "b t m"]:
        """Return the vectors of tokens and positions, added."""
        return self.drop(self.token(ids) + self.position(at))


def maps(cfg: Config) -> tuple[MapSpec, ...]:
    """Return the attention maps of one pass, in call order."""
    return tuple(MapSpec(i, "self", "text", "text", cfg.n_heads) for i in range(cfg.n_layers))


def _size(d_model: int, n_layers: int, n_heads: int, **rest: int) -> Config:
    return Config(d_model=d_model, n_layers=n_layers, n_heads=n_heads, d_ff=4 * d_model, **rest)  # type: ignore[arg-type]


SIZES = {
    "gpt-tiny": replace(_size(192, 6, 6, vocab_size=2048, max_len=256), dropout_attention=0.0),
    "gpt-14m": replace(_size(384, 6, 6, vocab_size=8192, max_len=512), dropout_attention=0.0),
    "openai-gpt": replace(_size(768, 12, 12, vocab_size=40478, max_len=512), pre_norm=False),
    "gpt2": _size(768, 12, 12),
    "gpt2-medium": _size(1024, 24, 16),
    "gpt2-large": _size(1280, 36, 20),
    "gpt2-xl": _size(1600, 48, 25),
    "gpt3-125m": _size(768, 12, 12, max_len=2048),
    "gpt3-350m": _size(1024, 24, 16, max_len=2048),
    "gpt3-760m": _size(1536, 24, 16, max_len=2048),
    "gpt3-1.3b": _size(2048, 24, 16, max_len=2048),
    "gpt3-2.7b": _size(2560, 32, 32, max_len=2048),
    "gpt3-6.7b": _size(4096, 32, 32, max_len=2048),
    "gpt3-13b": _size(5120, 40, 40, max_len=2048),
    "gpt3-175b": _size(12288, 96, 96, max_len=2048),
}

_GPT2, _GPT3 = "Radford et al. 2019, table 2", "Brown et al. 2020, table 2.1"
_MISCOUNTED = "the paper's counts were wrong, as its authors say beside their code"
PUBLISHED = {
    "openai-gpt": Published(117e6, "model card of openai-gpt", "the card rounds 116.5M up"),
    "gpt2": Published(117e6, _GPT2, _MISCOUNTED),
    "gpt2-medium": Published(345e6, _GPT2, _MISCOUNTED),
    "gpt2-large": Published(762e6, _GPT2, _MISCOUNTED),
    "gpt2-xl": Published(1542e6, _GPT2, _MISCOUNTED),
    "gpt3-125m": Published(125e6, _GPT3, "the paper rounds"),
    "gpt3-350m": Published(350e6, _GPT3, "the paper rounds"),
    "gpt3-760m": Published(760e6, _GPT3, "the paper rounds"),
    "gpt3-1.3b": Published(1.3e9, _GPT3, "the table's 24 heads of 128 do not make its 2048 columns, 16 do"),
    "gpt3-2.7b": Published(2.7e9, _GPT3, "the paper rounds"),
    "gpt3-6.7b": Published(6.7e9, _GPT3, "the paper rounds"),
    "gpt3-13b": Published(13e9, _GPT3, "the table's 5140 columns are not 40 heads of 128, 5120 are"),
    "gpt3-175b": Published(175e9, _GPT3, "the paper rounds 174.6B; attending in bands takes no parameters"),
}

HF = Format(
    names=("gpt2", "openai-gpt"),
    read_config=lambda config: from_dict(Config, from_hf(config), "config.json"),
    write_config=to_hf,
    rules=rules,
    fit=fit,
    aliases=aliases,
)

FAMILY = Family(name="gpt", config=Config, net=Gpt, sizes=SIZES, maps=maps, formats={"hf": HF}, published=PUBLISHED)
