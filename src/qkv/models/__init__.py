"""Names of families and the modules that declare them: adding a family is one line here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qkv.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from qkv.models.family import Family

FAMILIES = {
    "seq2seq": "qkv.models.seq2seq",
    "transformer": "qkv.models.transformer",
    "bert": "qkv.models.bert",
    "deberta": "qkv.models.deberta",
    "vit": "qkv.models.vit",
    "swin": "qkv.models.swin",
    "gpt": "qkv.models.gpt",
    "llama": "qkv.models.llama",
}


def get_family(name: str) -> "Family":
    """Return a family by its name, or raise ConfigError naming the nearest one."""
    if name not in FAMILIES:
        raise ConfigError(f'No family "{name}"; there are {", ".join(FAMILIES)}.{nearest(name, FAMILIES)}')
    return import_module(FAMILIES[name]).FAMILY


def get_size(name: str) -> "tuple[Family, Any]":
    """Return the family and the configuration of a published or built-in size, such as "transformer-base"."""
    sizes = {size: family for family in map(get_family, FAMILIES) for size in family.sizes}
    if name not in sizes:
        raise ConfigError(f'No model "{name}"; there are {", ".join(sizes)}.{nearest(name, sizes)}')
    return sizes[name], sizes[name].sizes[name]


def family_of(net: object) -> "Family":
    """Return the family that a net belongs to."""
    for family in map(get_family, FAMILIES):
        if type(net) is family.net:
            return family
    raise ConfigError(f"{type(net).__name__} is no net of qkv's families: {', '.join(FAMILIES)}.")
