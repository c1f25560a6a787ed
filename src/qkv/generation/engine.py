"""Generate: read prompts, write a token at a time, pass on what is sure, and give back what there is on Ctrl-C."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from qkv.base.errors import ConfigError, ShapeError
from qkv.generation.outputs import Hypothesis, Net, special_tokens
from qkv.generation.sampling import Sampler, Sampling
from qkv.generation.search import Beam, Choose, Likeliest, Path, each_room, walk, walk_beams
from qkv.generation.writer import Decode, Stream, Writer
from qkv.models.family import Decoder


@torch.inference_mode()
def generate(
    net: Net,
    ids: Int[Tensor, "b s"],
    mask: Bool[Tensor, "b s"],
    *,
    room: int | Sequence[int],
    end_ids: Collection[int] | None = None,
    never: Collection[int] | None = None,
    sampling: Sampling | None = None,
    beams: int = 1,
    length_penalty: float = 1.0,
    chunk: int | None = None,
    stop: Sequence[str] = (),
    decode: Decode | None = None,
    stream: Stream | None = None,
) -> list[Hypothesis]:
    """Go on with each prompt of a decoder, padded on the left, or answer each source of an encoder-decoder.

    room: tokens to write at most, for all prompts or for each. end_ids, never: as in `greedy`. Without `sampling` the
    likeliest token is taken, or with `beams` the likeliest output is searched for (`beam_search`). chunk: read long
    prompts so many tokens at a time, in less memory.
    decode: turns ids into text. stop: strings that end an output, and are not in it; of the ids stay those wholly
    before. stream: called with a prompt's number, new ids and new text as soon as nothing can take them back; end to
    end they are what is returned. Beams are passed on when all are done.
    Ctrl-C ends generation; `why` then says of what was not finished that it was interrupted.
    """
    rooms = each_room(room, ids.size(0))
    _check_options(rooms, sampling, beams, chunk, stop, decode)
    if not bool(mask.any(1).all()):
        raise ShapeError("Prompt is empty: give text, or --bos.")
    if not ids.size(0):
        return []
    special = special_tokens(net, end_ids, never)
    prompts = [row[real].tolist() for row, real in zip(ids, mask, strict=True)]
    said = prompts if isinstance(net, Decoder) else [[]] * len(prompts)
    writers = [Writer(i, context, decode or _no_text, stop, stream) for i, context in enumerate(said)]
    begin = partial(net.begin, ids, mask, **({} if chunk is None else {"chunk": chunk}))
    if beams > 1:
        every = [Beam(i, n, beams, length_penalty, special.ends) for i, n in enumerate(rooms)]
        write = partial(walk_beams, net, begin, every, special.never)
    else:
        every = [Path(i, n, special.ends) for i, n in enumerate(rooms)]
        choose: Choose = Likeliest(special.never)
        if sampling is not None:
            choose = Sampler(sampling, prompts, said, rooms, special.never)
        write = partial(walk, net, begin, every, choose, partial(_follow, writers))
    with suppress(KeyboardInterrupt):
        write()
    return [writer.finish(one.found()) for writer, one in zip(writers, every, strict=True)]


def _follow(writers: Sequence[Writer], path: Path) -> None:
    """Read a path's newest token as text; end the path before a stop string; pass on what is new."""
    writer = writers[path.prompt]
    n_kept = None if path.why == "end" else writer.take(path.ids[-1])
    if n_kept is not None:
        path.ids, path.why = path.ids[:n_kept], "stop"
    if path.why is None:
        writer.pass_on(path.ids)
    else:
        writer.finish(path.found())


def _no_text(ids: list[int]) -> str:
    return ""


def _check_options(
    rooms: Sequence[int],
    sampling: Sampling | None,
    beams: int,
    chunk: int | None,
    stop: Sequence[str],
    decode: Decode | None,
) -> None:
    """Raise ConfigError for options that say nothing, or that do not go together."""
    for name, value in (*(("room", room) for room in rooms), ("beams", beams), ("chunk", chunk)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}; it must be at least 1.")
    if beams > 1 and (sampling is not None or stop):
        other = "stop strings" if sampling is None else "sampling"
        raise ConfigError(f"beams is {beams}, and a beam knows no {other}; leave out one of the two.")
    if stop and decode is None:
        raise ConfigError("Stop strings are looked for in text; give `decode`, which turns ids into text.")
    if "" in stop:
        raise ConfigError('A stop string is ""; give at least one character.')
