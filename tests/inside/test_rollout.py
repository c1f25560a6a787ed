"""Rollout by rows equals rollout by matrices."""

import pytest
import torch

import qkv
from models.tiny import SMALL, batch_for, make_lively, sentences
from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.generation.engine import generate
from qkv.inside.rollout import rollout

NAMES = ("bert-tiny", "deberta-v3-base", "gpt-tiny", "llama-tiny", "vit-digits", "dinov2-with-registers-small")
BERT = SMALL["bert-tiny"]


def by_matrices(maps: list[torch.Tensor], residual: float) -> torch.Tensor:
    """The paper's product, of weights (b, t, t)."""
    rolled = torch.eye(maps[0].size(-1), dtype=torch.float64)
    for weights in maps:
        rolled = (residual * torch.eye(weights.size(-1)) + (1 - residual) * weights.double()) @ rolled
    return rolled


@pytest.mark.parametrize("residual", [0.5, 0.0, 0.9])
@pytest.mark.parametrize("name", [*NAMES, "transformer-tiny"])
@torch.inference_mode()
def test_a_row_is_that_of_the_matrices(name, residual):
    net, batch = make_lively(SMALL[name]), batch_for(SMALL[name])
    with qkv.look(net) as seen:
        net(*batch)
    for stream in ("source", "target") if name == "transformer-tiny" else (None,):
        specs = [s for s in seen.maps if s.kind == "self" and stream in (None, s.query_stream)]
        maps = [seen.weights(spec.layer, kind="self", stream=spec.query_stream) for spec in specs]
        for head, weights in ((None, [w.mean(1) for w in maps]), (2, [w[:, 2] for w in maps])):
            wanted = by_matrices(weights, residual).float()
            found = rollout(seen, range(wanted.size(-1)), residual=residual, head=head, stream=stream)
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
            row = rollout(seen, -1, residual=residual, head=head, stream=stream)
            torch.testing.assert_close(row, wanted[:, -1], rtol=0, atol=1e-6)
            torch.testing.assert_close(row.sum(-1), torch.ones(3), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_padding_gives_nothing_to_real_tokens():
    net, batch = make_lively(BERT), sentences(BERT.cfg)
    with qkv.look(net) as seen:
        net(batch.source, batch.source_mask)
    assert not rollout(seen, 0)[~batch.source_mask].any()


@torch.inference_mode()
def test_what_does_not_roll_is_refused():
    for name, error, message in (
        ("swin-digits", UnsupportedError, "Layers of windows do not share one set of tokens"),
        ("bahdanau-tiny", ConfigError, 'No self-attention of "target" is in this net; there is: none'),
    ):
        net = make_lively(SMALL[name])
        with qkv.look(net) as seen:
            net(*batch_for(SMALL[name]))
        with pytest.raises(error, match=message):
            rollout(seen, 0)
    net, batch = make_lively(BERT), batch_for(BERT)
    with qkv.look(net) as seen:
        net(*batch)
    with pytest.raises(ConfigError, match="There is no row 7: this input has 7 tokens"):
        rollout(seen, 7)
    with pytest.raises(ConfigError, match='No self-attention of "source" is in this net; there is: text'):
        rollout(seen, 0, stream="source")


@torch.inference_mode()
def test_steps_whose_prompt_was_not_seen_do_not_roll():
    net = make_lively(SMALL["gpt-tiny"])
    batch = sentences(net.cfg)
    _, state = net.begin(batch.source[:, :4], room=3)
    with qkv.look(net) as seen:
        net.step(batch.source[:, 4], state)
    with pytest.raises(ShapeError, match="seen with 1 queries and 5 keys: rollout wants all tokens of a text"):
        rollout(seen, 0)


@torch.inference_mode()
def test_heads_have_the_numbers_of_the_net():
    net, batch = make_lively(BERT), batch_for(BERT)
    with qkv.look(net) as seen:
        net(*batch)
    with qkv.look(net, heads=[3, 1]) as two:
        net(*batch)
    assert torch.equal(rollout(two, 0, head=1), rollout(seen, 0, head=1))
    one = rollout(seen, 0, head=3)
    assert not torch.equal(rollout(two, 0), rollout(seen, 0)) and not torch.equal(rollout(two, 0, head=1), one)


@torch.inference_mode()
def test_what_was_written_step_by_step_rolls_as_what_was_read_at_once():
    """Greedy, and each hypothesis of a search, which moves between rows."""
    net = make_lively(SMALL["gpt-tiny"])
    prompt = torch.randint(4, 30, (1, 4))
    for beams in (1, 3):
        with qkv.look(net) as written:
            found = generate(net, prompt, torch.ones_like(prompt, dtype=torch.bool), room=5, beams=beams)[0]
        whole = torch.cat((prompt, torch.tensor([found.ids])), 1)[:, : 3 + len(found.ids)]
        with qkv.look(net) as read:
            net(whole)
        rows = found.rows if beams > 1 else None
        torch.testing.assert_close(rollout(written, -1, rows=rows), rollout(read, -1), rtol=0, atol=1e-5)
