"""A trace: what a model looked at, in one file that the explorer's page and other programs read (docs/trace.md).

The file is in the safetensors format; its header holds, under "qkv", a JSON text with all that is not a tensor.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy as library
from safetensors import SafetensorError

from qkv.base import files
from qkv.base.config import choose, from_dict
from qkv.base.errors import DataError, QkvError, WeightsError, brief
from qkv.inside.condense import POOLED
from qkv.inside.contents import OUTPUTS, About, Gold, Map, Output
from qkv.inside.streams import PictureStream, Stream, TextStream

FORMAT, VERSION, KEY = "qkv-trace", 1, "qkv"
STREAMS = {"text": TextStream, "picture": PictureStream}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What a model looked at: its streams, its maps with their tensors, and what it said.

    code: Python that looks again. tensors: by the name of the map, a dot, and what they hold, as docs/trace.md lists.
    """

    model: About
    title: str
    code: str
    streams: tuple[Stream, ...]
    maps: tuple[Map, ...]
    tensors: Mapping[str, np.ndarray] = field(repr=False)
    outputs: tuple[Output, ...] = ()
    gold: tuple[Gold, ...] = ()

    def stream(self, name: str) -> Stream:
        """Return a stream by its name."""
        return {stream.name: stream for stream in self.streams}[name]

    def to_bytes(self) -> bytes:
        """Return the file: equal traces give equal bytes."""
        said = {name: getattr(self, name) for name in ("model", "title", "code", "streams", "maps", "gold", "outputs")}
        plain = {k: [asdict(x) for x in v] if isinstance(v, tuple) else v for k, v in said.items()}
        header = {"format": FORMAT, "version": VERSION} | plain | {"model": asdict(self.model)}
        text = json.dumps(header, ensure_ascii=False, allow_nan=False)
        return library.save({k: np.ascontiguousarray(x) for k, x in self.tensors.items()}, {KEY: text})

    def write(self, path: Path | str) -> None:
        """Write the file; it appears whole or not at all."""
        files.write_bytes(Path(path), self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "The trace") -> "Trace":
        """Read a trace. Raises WeightsError for a file that is damaged, DataError for one that is no sound trace."""
        try:
            tensors = library.load(data)
            n = int.from_bytes(data[:8], "little")
            said = json.loads(data[8 : 8 + n]).get("__metadata__", {}).get(KEY)
        except (SafetensorError, KeyError, ValueError) as error:
            raise WeightsError(f"{where} is damaged, or no trace: {error}. Write it again.") from error
        if said is None:
            raise DataError(f'{where} is no trace: its header has no "{KEY}". It may be a file of weights.')
        trace = cls(**_read(said, where), tensors=tensors)
        if faults := list(_faults(trace)):
            more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
            raise DataError(f"{where} contradicts itself: {'; '.join(faults[:3])}{more}. Write it again.")
        return trace

    @classmethod
    def read(cls, path: Path | str) -> "Trace":
        """Read a file, as `from_bytes`."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
        return cls.from_bytes(data, str(path))


def _read(said: str, where: str) -> dict[str, Any]:
    """Return the fields of a trace from the text in its header."""
    try:
        header = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: what its header says is no JSON: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DataError(f'{where} is no trace: its header does not say "format": "{FORMAT}".')
    if header.get("version") != VERSION:
        raise DataError(f"{where} has version {brief(header.get('version'))}; this qkv reads {VERSION}.")
    wanted = {"format", "version", "model", "title", "code", "streams", "maps", "gold", "outputs"}
    if wrong := sorted(wanted ^ header.keys()):
        raise DataError(f"{where}: its header lacks, or should not have, {brief(wrong)}.")
    if not all(isinstance(header[name], str) for name in ("title", "code")):
        raise DataError(f'{where}: "title" and "code" must be text.')
    try:
        return {
            "model": from_dict(About, _mapping(header["model"]), f"{where}: model"),
            "title": header["title"],
            "code": header["code"],
            "streams": _read_list(header, "streams", STREAMS, where),
            "maps": _read_list(header, "maps", Map, where),
            "gold": _read_list(header, "gold", Gold, where),
            "outputs": _read_list(header, "outputs", OUTPUTS, where),
        }
    except QkvError as error:
        raise DataError(str(error)) from error


def _read_list(header: dict[str, Any], name: str, kinds: type | Mapping[str, type], where: str) -> tuple[Any, ...]:
    """Return the entries of a list; `kinds` may depend on the kind that an entry names."""
    if not isinstance(header[name], list):
        raise DataError(f'{where}: "{name}" is {brief(header[name])}, wanted a list.')
    found = []
    for i, entry in enumerate(map(_mapping, header[name])):
        place = f"{where}: {name} {i}"
        kind = kinds if isinstance(kinds, type) else choose("kind", str(entry.get("kind")), kinds, place)
        found.append(from_dict(kind, entry, place))
    return tuple(found)


def _mapping(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise DataError(f"The header has {brief(entry)} where an object should be.")
    return entry


def _faults(trace: Trace) -> Iterator[str]:
    """Say where the parts of a trace do not fit each other."""
    lengths = {stream.name: len(stream) for stream in trace.streams}
    ids = [one.id for one in trace.maps]
    if len(lengths) != len(trace.streams) or len(set(ids)) != len(ids):
        yield "two streams, or two maps, have one name"
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {}
    for one in trace.maps:
        wanted |= shapes(one, trace.tensors)
        for name, n in ((one.query, one.rows + one.missing_rows), (one.key, one.columns)):
            if name not in lengths:
                yield f'map {one.id} is of a stream "{name}" that is not there'
            elif n != (lengths[name] if one.grid is None else one.grid[0] * one.grid[1]):
                yield f'map {one.id} is of {n} tokens, stream "{name}" has {lengths[name]}'
        yield from _lost(one, trace.tensors)
    yield from _wrong_tensors(trace.tensors, wanted)
    for gold in trace.gold:
        most = (lengths.get(gold.key, 0), lengths.get(gold.query, 0))
        if not all(0 <= a < most[0] and 0 <= b < most[1] for a, b in gold.links):
            yield f"a gold link lies outside {gold.key} or {gold.query}"


def _wrong_tensors(
    tensors: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[str, tuple[int, ...]]]
) -> Iterator[str]:
    for name in sorted((wanted.keys() ^ tensors.keys()) - {"rollout"}):
        yield f'tensor "{name}" is {"missing" if name in wanted else "of no map"}'
    for name in sorted(wanted.keys() & tensors.keys()):
        x, (dtype, shape) = tensors[name], wanted[name]
        if (x.dtype, x.shape) != (dtype, shape):
            yield f'tensor "{name}" is {x.dtype} {x.shape}, wanted {dtype} {shape}'
        elif x.dtype.kind == "f" and not (np.isfinite(x) | (np.isneginf(x) & name.endswith(".bias"))).all():
            yield f'tensor "{name}" has numbers that are not finite'


def _lost(one: Map, tensors: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Say which keys and places do not exist."""
    for name, least in ((f"{one.id}.top.indices", 0), (f"{one.id}.places", -1)):
        if name in tensors and tensors[name].dtype.kind in "iu":
            found = tensors[name].astype(np.int64)
            if wrong := found[(found < least) | (found >= one.columns)].tolist():
                yield f'"{name}" names key {wrong[0]} of {one.columns}'


def shapes(one: Map, tensors: Mapping[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the type and the shape of each tensor that a map has; open lengths are those of the tensors."""
    h, t, s = one.heads, one.rows, one.columns
    facts = {"entropy": (h, t), "received": (h, s), "distance": (h, t), "special": (h, t), "diagonal": (h,)}
    found: dict[str, tuple[str, tuple[int, ...]]] = {name: ("float32", shape) for name, shape in facts.items()}
    if one.store == "weights":
        found |= {"weights": ("uint8", (h, t, s)), "rowmax": ("float16", (h, t))}
    elif one.store == "top":
        n = _length(tensors, f"{one.id}.top.values", 2)
        found |= {"top.values": ("float16", (h, t, n)), "top.indices": ("uint32", (h, t, n))}
        found |= {"pooled": ("uint8", (h, POOLED, POOLED)), "pooledmax": ("float16", (h, POOLED))}
    else:
        n, w = (_length(tensors, f"{one.id}.places", axis) for axis in (0, 1))
        found |= {"weights": ("uint8", (h, n, w, w)), "rowmax": ("float16", (h, n, w)), "places": ("int32", (n, w))}
    if one.qk:
        found |= _of_heads(one, tensors)
    return {f"{one.id}.{name}": shape for name, shape in found.items()}


def _of_heads(one: Map, tensors: Mapping[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the shapes of queries, keys and values, and of the bias, if there is one."""
    h, g, t, s, d = one.heads, one.kv_heads, one.rows, one.columns, one.d_head or 0
    found: dict[str, tuple[str, tuple[int, ...]]] = {
        "q": ("float16", (h, t, d)),
        "k": ("float16", (g, s, d)),
        "v": ("float16", (g, s, _length(tensors, f"{one.id}.v", 2))),
    }
    return found | ({"bias": ("float16", (h, t, s))} if f"{one.id}.bias" in tensors else {})


def _length(tensors: Mapping[str, np.ndarray], name: str, axis: int) -> int:
    shape = tensors[name].shape if name in tensors else ()
    return shape[axis] if len(shape) > axis else 0
