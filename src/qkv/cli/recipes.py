"""The options of every training: how fast, how long, how often it is looked at."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter


@dataclass(frozen=True)
class Pace:
    """Options of a training's recipe; what is not given comes from --config, else from the verb's defaults."""

    steps: Annotated[int | None, Parameter(help="Steps of the optimiser (1000).")] = None
    budget: Annotated[int | None, Parameter(help="Tokens, or pictures, of one micro-batch (4096).")] = None
    accumulate: Annotated[int | None, Parameter(help="Micro-batches per step (1).")] = None
    lr: Annotated[float | None, Parameter(help="Highest learning rate (0.001; finetune 0.00005).")] = None
    warmup: Annotated[int | None, Parameter(help="Steps until it is reached (100).")] = None
    schedule: Annotated[
        Literal["cosine", "inverse-sqrt", "constant", "paper"] | None, Parameter(help="After the warm-up (cosine).")
    ] = None
    smoothing: Annotated[float | None, Parameter(help="Label smoothing (0.1 of a translator, else 0).")] = None
    weight_decay: Annotated[float | None, Parameter(help="On matrices alone.")] = None
    clip: Annotated[float | None, Parameter(help="Largest norm of the gradient (1).")] = None
    ema: Annotated[float | None, Parameter(help="Decay of averaged weights (0: none).")] = None
    patience: Annotated[int | None, Parameter(help="Validations without a better figure until the end (0: all).")] = (
        None
    )
    validate_every: Annotated[int | None, Parameter(help="Steps between validations.")] = None
    checkpoint_every: Annotated[int | None, Parameter(help="Steps between checkpoints.")] = None
    dtype: Annotated[Literal["fp32", "bf16"] | None, Parameter(help="Of the products (fp32).")] = None
    workers: Annotated[int | None, Parameter(help="Processes that prepare batches (0).")] = None
    seed: Annotated[int | None, Parameter(help="Of everything that is drawn (0).")] = None


@dataclass(frozen=True)
class Labels:
    """Options of a training on labels."""

    columns: Annotated[str | None, Parameter(help="Of a TSV, the label last: sentence,label or 4,2.")] = None
    truncate: Annotated[bool | None, Parameter(negative="", help="Cut long texts off.")] = None
    stride: Annotated[int | None, Parameter(help="Split long texts; pieces share so many tokens.")] = None
    dropout_attention: Annotated[float | None, Parameter(help="In place of the model's own.")] = None
    fold: Annotated[int | None, Parameter(help="Of the digits: test on this fifth, from 0.")] = None
    shift: Annotated[int | None, Parameter(help="Move pictures by so many pixels at most.")] = None
    degrees: Annotated[float | None, Parameter(help="Turn pictures so far at most.")] = None
    scale: Annotated[float | None, Parameter(help="Make pictures larger or smaller by this share at most.")] = None
    shear: Annotated[float | None, Parameter(help="Bend pictures by this share of their height at most.")] = None
    flip: Annotated[bool | None, Parameter(negative="", help="Mirror half of the pictures.")] = None


NO_PACE, NO_LABELS = Pace(), Labels()
