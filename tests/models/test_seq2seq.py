"""The recurrent nets equal plain loops, written here from the papers' equations: one sentence, one step at a time.

Names as in the papers; `p` holds the net's parameters by name. Bahdanau et al. 2015, sections A.1.1, A.1.2, A.2.1 and
A.2.2; Cho et al. 2014, section 2.2; Luong et al. 2015, equations 5 to 8; Gers et al. 2000 for the LSTM.
"""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

import qkv
from models.tiny import Sentences, Small, make, sentences, shrink
from qkv.base.errors import ConfigError
from qkv.models import get_family
from qkv.models.seq2seq import SIZES, Config

State = tuple[Tensor, Tensor]  # what others see, and an LSTM's memory


def gru(p: Mapping[str, Tensor], name: str, direction: int, from_input: Tensor, state: State) -> State:
    """z, r = sigmoid(...), s~ = tanh(W y + U [r * s]), s' = (1 - z) s + z s~: section A.1.1."""
    s, _ = state
    w_z, w_r, w = from_input.chunk(3)
    u_z, u_r, u = p[f"{name}.hidden"][direction].T.chunk(3)
    z, r = torch.sigmoid(w_z + u_z @ s), torch.sigmoid(w_r + u_r @ s)
    proposed = torch.tanh(w + u @ (r * s))
    return (1 - z) * s + z * proposed, s


def lstm(p: Mapping[str, Tensor], name: str, direction: int, from_input: Tensor, state: State) -> State:
    """i, f, o = sigmoid(...), c' = f c + i tanh(...), h' = o tanh(c')."""
    h, c = state
    i, f, g, o = (from_input + p[f"{name}.hidden"][direction].T @ h).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


CELLS = {"gru": gru, "lstm": lstm}


def read(p: Mapping[str, Tensor], cfg: Config, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return h_j = [forward; backward] of every token, and both last states, forward first: section A.2.1."""
    x = p["token.weight"][ids]
    from_input = x @ p["encoder.cell.input.weight"].T + p["encoder.cell.input.bias"]
    found: list[list[Tensor]] = []
    for direction in (0, 1):
        zero = torch.zeros(cfg.d_encoder, dtype=x.dtype)
        state, states = (zero, zero), []
        for t in range(len(ids)) if direction == 0 else reversed(range(len(ids))):
            now = from_input[t].chunk(2)[direction]
            state = CELLS[cfg.cell](p, "encoder.cell", direction, now, state)
            states.append(state[0])
        found.append(states)
    forward, backward = found
    return torch.stack([torch.cat(pair) for pair in zip(forward, reversed(backward), strict=True)]), torch.cat(
        (forward[-1], backward[-1])
    )


def energy(p: Mapping[str, Tensor], cfg: Config, s: Tensor, h: Tensor) -> Tensor:
    """Return a(s, h_j): section A.1.2 and Luong's equation 8."""
    if cfg.attention == "dot":
        return s @ h
    if cfg.attention == "general":
        return s @ (p["decoder.score.key.weight"] @ h)
    v = p["decoder.score.energy.weight"][0]
    if cfg.attention == "concat":
        w = torch.cat((p["decoder.score.query.weight"], p["decoder.score.key.weight"]), 1)
        return v @ torch.tanh(w @ torch.cat((s, h)))
    return v @ torch.tanh(p["decoder.score.query.weight"] @ s + p["decoder.score.key.weight"] @ h)


def look_at(p: Mapping[str, Tensor], cfg: Config, s: Tensor, annotations: Tensor) -> tuple[Tensor, Tensor]:
    """Return c_i and alpha_i: equations 5 and 6."""
    powers = torch.stack([energy(p, cfg, s, h) for h in annotations]).exp()
    alpha = powers / powers.sum()
    return sum((a * h for a, h in zip(alpha, annotations, strict=True)), torch.zeros_like(annotations[0])), alpha


def maxout(p: Mapping[str, Tensor], s: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """Return t_i, the larger of each two of t~_i = U s_i + V y_{i-1} + C c_i: section A.2.2."""
    t = p["decoder.readout.state.weight"] @ s + p["decoder.readout.state.bias"]
    t = t + p["decoder.readout.token.weight"] @ y + p["decoder.readout.context.weight"] @ c
    return torch.stack([torch.maximum(t[2 * i], t[2 * i + 1]) for i in range(len(t) // 2)])


def translate(p: Mapping[str, Tensor], cfg: Config, source: Tensor, target: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the logits of one pair with teacher forcing, and the weights of each step."""
    annotations, summary = read(p, cfg, source)
    first = summary.chunk(2)[1] if cfg.attention == "additive" else summary  # the backward state at the first token
    s = torch.tanh(p["decoder.first.weight"] @ first + p["decoder.first.bias"])
    state, logits, alphas = (s, torch.zeros_like(s)), [], []
    for y in p["target_token.weight"][target]:
        now = p["decoder.cell.input.weight"] @ y + p["decoder.cell.input.bias"]
        if cfg.attention in ("none", "additive"):
            c = summary
            if cfg.attention == "additive":
                c, alpha = look_at(p, cfg, state[0], annotations)
                alphas.append(alpha)
            state = CELLS[cfg.cell](p, "decoder.cell", 0, now + p["decoder.context.weight"] @ c, state)
            features = maxout(p, state[0], y, c)
        else:
            state = CELLS[cfg.cell](p, "decoder.cell", 0, now, state)
            c, alpha = look_at(p, cfg, state[0], annotations)
            alphas.append(alpha)
            features = torch.tanh(p["decoder.join.weight"] @ torch.cat((c, state[0])))
        logits.append(p["head.weight"] @ features + p["head.bias"])
    return torch.stack(logits), alphas


def small(attention: str, cell: str) -> Small:
    return Small(get_family("seq2seq"), shrink(SIZES["bahdanau-tiny"], attention=attention, cell=cell))


def oracle(net: torch.nn.Module, cfg: Config, batch: Sentences) -> tuple[Tensor, list[list[Tensor]]]:
    p = dict(net.named_parameters())
    rows = [
        translate(p, cfg, ids[m], y) for ids, y, m in zip(batch.source, batch.target, batch.source_mask, strict=True)
    ]
    return torch.stack([logits for logits, _ in rows]), [alphas for _, alphas in rows]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("attention", ["none", "additive", "dot", "general", "concat"])
def test_a_pass_equals_a_plain_loop_over_the_papers_equations(attention, cell):
    kind = small(attention, cell)
    net, batch = make(kind, dtype=torch.float64), sentences(kind.cfg)
    wanted, _ = oracle(net, kind.cfg, batch)
    torch.testing.assert_close(net(*batch), wanted, rtol=0, atol=1e-10)
    found = torch.autograd.grad(net(*batch).logsumexp(-1).sum(), list(net.parameters()))
    for ours, plain in zip(found, torch.autograd.grad(wanted.logsumexp(-1).sum(), list(net.parameters())), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-10)


@pytest.mark.parametrize("attention", ["none", "additive", "dot", "general", "concat"])
def test_a_single_step_equals_the_plain_loop(attention):
    kind = small(attention, "gru")
    net, batch = make(kind, dtype=torch.float64), sentences(kind.cfg)
    wanted, _ = oracle(net, kind.cfg, batch)
    state = net.start(batch.source, batch.source_mask, beams=1, room=6)
    for i, ids in enumerate(batch.target.unbind(1)):
        torch.testing.assert_close(net.step(ids, state), wanted[:, i], rtol=0, atol=1e-10)


@pytest.mark.parametrize("attention", ["additive", "general"])
def test_the_weights_shown_are_the_loops_alphas(attention):
    kind = small(attention, "gru")
    net, batch = make(kind, dtype=torch.float64), sentences(kind.cfg)
    _, alphas = oracle(net, kind.cfg, batch)
    with qkv.look(net) as seen:
        net(*batch)
    for row, steps in zip(seen.weights(0), alphas, strict=True):
        wanted = torch.stack(steps)
        torch.testing.assert_close(row[0, :, : wanted.size(1)], wanted, rtol=0, atol=1e-10)
        assert row[0, :, wanted.size(1) :].eq(0).all()


def test_luongs_concat_is_bahdanaus_score_of_the_new_state():
    """The two nets differ in when they look, not in how: one score serves both."""
    concat, additive = (make(small(attention, "gru")) for attention in ("concat", "additive"))
    assert type(concat.decoder.score) is type(additive.decoder.score)


def test_dot_wants_equal_widths():
    with pytest.raises(ConfigError, match=r"d_decoder \(7\) = 2 \* d_encoder \(8\)"):
        shrink(SIZES["bahdanau-tiny"], attention="dot", d_decoder=7)


def test_the_fixed_context_has_as_many_parameters_as_bahdanaus_net():
    """Within 10 %: what they do differently is not a matter of size."""
    counts = [
        sum(p.numel() for p in make(Small(get_family("seq2seq"), SIZES[n])).parameters())
        for n in ("rnn-tiny", "bahdanau-tiny")
    ]
    assert 0.9 < counts[0] / counts[1] < 1.1


def test_rnnsearch_is_of_the_published_size():
    """Bahdanau et al. 2015, section A.2.3: 1000 hidden units, 620 wide embeddings, 500 maxout pairs, 30,000 words."""
    cfg = SIZES["rnnsearch-50"]
    assert (cfg.d_encoder, cfg.d_decoder, cfg.d_embed, cfg.d_readout, cfg.d_attention) == (1000, 1000, 620, 500, 1000)
    assert (cfg.vocab_size, cfg.target_vocab_size, cfg.cell, cfg.attention) == (30_000, 30_000, "gru", "additive")
    with torch.device("meta"):
        net = get_family("seq2seq").net(cfg)
    n = 1000
    embeddings = 2 * 30_000 * 620
    encoder = 2 * (3 * n * (620 + n) + 3 * n)
    decoder = 3 * n * (620 + n + 2 * n) + 3 * n + n * (n + 1) + n * (n + 2 * n) + n
    readout = 2 * 500 * (n + 620 + 2 * n) + 2 * 500 + 30_000 * (500 + 1)
    assert sum(p.numel() for p in net.parameters()) == embeddings + encoder + decoder + readout
