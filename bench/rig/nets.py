"""The net of a folder that transformers wrote, as ours."""

import json
from pathlib import Path
from typing import Any

import torch


def load_net(folder: Path) -> Any:
    """Load the net alone: no tokenizer has to lie beside it."""
    from qkv.models import FAMILIES, get_family
    from qkv.nn.embed import fill_buffers
    from qkv.weights.files import read_safetensors
    from qkv.weights.rules import read_state

    config, theirs = json.loads((folder / "config.json").read_text()), read_safetensors(folder)
    families = [family for family in map(get_family, FAMILIES) if "hf" in family.formats]
    family = next(family for family in families if config["model_type"] in family.formats["hf"].names)
    public = family.formats["hf"]
    cfg = public.fit(public.read_config(config), theirs.keys())
    with torch.device("meta"):
        net = family.net(cfg)
    aliases, like = public.aliases(cfg), net.state_dict()
    net.load_state_dict(read_state(public.rules(cfg), theirs, like, aliases=aliases, where=str(folder)), assign=True)
    fill_buffers(net)
    return net.eval()
