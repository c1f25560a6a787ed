"""A decoder of texts says the same with a cache and without, in pieces, in batches, in beams; and never looks ahead."""

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from models.tiny import SMALL, difference, make
from parity.loud import loud, ours, saved
from qkv.base import seeds
from qkv.base.errors import ShapeError, UnsupportedError
from qkv.generation.search import greedy
from qkv.models import get_family
from qkv.models.decoding import look_back
from qkv.nn.packed import pack

KINDS = {
    "norms first": ("gpt-tiny", {}),
    "norms last": ("openai-gpt", {}),
    "rotary, groups of two, tied": ("llama-tiny", {}),
    "rotary, one key head, wide, stretched": ("llama-tiny", {"n_kv_heads": 1, "d_head": 6, "tied": False, "theta": 17.0,
                                                             "stretch": (8.0, 1.0, 4.0, 32)}),
}  # fmt: skip
every_kind = pytest.mark.parametrize("kind", KINDS)
EXACT = 1e-12


def net_of(kind: str, **changes: Any) -> Any:
    name, given = KINDS[kind]
    torch.manual_seed(0)
    return make(SMALL[name], dtype=torch.float64, **given, **changes)


def texts(*shape: int) -> Tensor:
    return torch.randint(2, 30, shape, generator=seeds.generator("texts", *shape))


def ragged(lengths: tuple[int, ...] = (7, 3, 5), side: str = "left") -> tuple[Tensor, Tensor]:
    """Return texts of these lengths, and any ids where the padding is."""
    n, t = max(lengths), torch.tensor(lengths)[:, None]
    mask = torch.arange(n) >= n - t if side == "left" else torch.arange(n) < t
    return texts(len(lengths), n), mask


def steps(net: Any, state: Any, ids: Tensor) -> Tensor:
    """Append the columns of ids, and return what is said after each."""
    return torch.stack([net.step(column, state) for column in ids.unbind(1)], 1)


@every_kind
@pytest.mark.parametrize("chunk", [None, 1, 3, 7, 8])
def test_a_cache_and_pieces_change_nothing(kind, chunk):
    net, ids = net_of(kind), texts(3, 12)
    whole = net(ids)
    first, state = net.begin(ids[:, :7], room=5, chunk=chunk)
    assert difference(first, whole[:, 6]) <= EXACT
    assert difference(steps(net, state, ids[:, 7:]), whole[:, 7:]) <= EXACT


@every_kind
@pytest.mark.parametrize("chunk", [None, 2])
def test_a_ragged_batch_is_its_rows_alone(kind, chunk):
    net, (ids, mask), more = net_of(kind), ragged(), texts(3, 4)
    first, state = net.begin(ids, mask, room=4, chunk=chunk)
    then = steps(net, state, more)
    for row, real in enumerate(mask):
        alone = net(torch.cat((ids[row, real], more[row]))[None])[0, real.sum() - 1 :]
        assert difference(torch.cat((first[row, None], then[row])), alone) <= EXACT


@every_kind
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_nothing(kind, side):
    net, (ids, mask) = net_of(kind), ragged(side=side)
    out = net(ids, mask)
    for row, real in enumerate(mask):
        assert difference(out[row, real], net(ids[row, real][None])[0]) <= EXACT


@every_kind
def test_beams_share_their_prompt(kind):
    net, (ids, mask), more = net_of(kind), ragged(), texts(6, 4)
    first, state = net.begin(ids, mask, beams=2, room=4)
    twice = (x.repeat_interleave(2, 0) for x in (ids, mask))
    other, apart = net.begin(*twice, room=4)
    assert difference(first, other) <= EXACT and torch.equal(first[0], first[1])
    then = steps(net, state, more)
    assert difference(then, steps(net, apart, more)) <= EXACT
    assert difference(then[0], then[1]) > 0.01, "beams of one prompt go on by themselves"


@every_kind
def test_picked_rows_go_on_as_they_were(kind):
    net, (ids, mask), more = net_of(kind), ragged(), texts(6, 5)
    _, state = net.begin(ids, mask, beams=2, room=5)
    steps(net, state, more[:, :2])
    rows = torch.tensor([1, 1, 5, 4])
    then = steps(net, state.pick(rows, torch.tensor([0, 2])), more[:4, 2:])
    for place, row in enumerate(rows.tolist()):
        text = torch.cat((ids[row // 2, mask[row // 2]], more[row, :2], more[place, 2:]))
        assert difference(then[place], net(text[None])[0, -3:]) <= EXACT


@every_kind
@pytest.mark.parametrize("padded", [False, True])
def test_nothing_leaks_from_the_future(kind, padded):
    net, (ids, mask) = net_of(kind), ragged()
    other = ids.clone()
    other[:, 5:] = (ids[:, 5:] - 1) % 28 + 2
    before, after = (net(x, mask if padded else None) for x in (ids, other))
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


def test_only_padding_before_a_token_needs_a_mask():
    """Without one the kernel is told that all is causal, and leaves out half of the work."""
    assert look_back(None).causal and look_back(ragged(side="right")[1]).causal
    left = look_back(ragged(side="left")[1])
    assert not left.causal and left.mask is not None and left.mask.shape == (3, 1, 7, 7)
    hole = torch.tensor([[True, False, True]])
    assert look_back(hole).mask is not None


@every_kind
def test_a_packed_copy_decodes_as_its_net(kind):
    net, (ids, mask), more = net_of(kind).float(), ragged(), texts(3, 4)
    fast = pack(net, torch.float32)
    (first, state), (other, apart) = (one.begin(ids, mask, room=4) for one in (net, fast))
    assert difference(first, other) <= 1e-5
    assert difference(steps(net, state, more), steps(fast, apart, more)) <= 1e-5


@every_kind
def test_in_bfloat16_the_cache_is_wider_on_cpus(kind):
    net, (ids, mask), more = net_of(kind).bfloat16(), ragged(), texts(3, 4)
    _, state = net.begin(ids, mask, room=4)
    assert steps(net, state, more).dtype == torch.bfloat16
    assert state.caches[0].past.k.dtype == torch.float32


@pytest.mark.parametrize("name", ["gpt-tiny", "llama-tiny"])
def test_labels_are_read_off_the_last_real_token(name):
    net, (ids, mask) = make(SMALL[name], head="classify", n_labels=3), ragged(side="right")
    out = net(ids, mask)
    assert out.shape == (3, 3)
    for row, real in enumerate(mask):
        assert difference(out[row], net(ids[row, real][None])[0]) <= 1e-6
        assert difference(out[row], net.head(net.encode(ids, mask))[row, real.sum() - 1]) <= 1e-6


def small_reference(family: str) -> Any:
    """Build a net of transformers that ends no text, and whose biases do not drown what it read."""
    shape: dict[str, Any] = {"vocab_size": 61, "bos_token_id": None, "eos_token_id": None}
    if family == "gpt":
        shape |= {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 64}
        net = loud(transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape)))
        with torch.no_grad():
            for name, x in net.named_parameters():
                x.mul_(0.0 if name.endswith("bias") else 2.0)
        return net.double()
    shape |= {"hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2}
    shape |= {"intermediate_size": 40, "max_position_embeddings": 64}
    return loud(transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape))).double()


@pytest.mark.parametrize("family", ["gpt", "llama"])
def test_our_greedy_continuation_is_that_of_transformers(family, tmp_path):
    """32 tokens in fp64, of prompts of several lengths."""
    reference, (ids, mask) = small_reference(family), ragged((9, 1, 5))
    given = {"attention_mask": mask.long(), "max_new_tokens": 32, "do_sample": False, "pad_token_id": 0}
    wanted = reference.generate(ids, **given)[:, 9:]
    found = greedy(ours(saved(reference, tmp_path), get_family(family)), ids, mask, room=32)
    assert [one.ids for one in found] == wanted.tolist()
    assert wanted.unique().numel() > 8, "a text that only repeats itself would tell nothing"


@pytest.mark.parametrize("name", ["gpt-tiny", "llama-tiny"])
def test_what_no_net_can_read_is_refused(name):
    net, ids = make(SMALL[name]), texts(2, 24)
    outside = ids.clone()
    outside[1, 3] = 30
    match = r"Token id 30 at \[1, 3\] is outside the vocabulary \(30\). Is this tokenizer for another model\?"
    for call in (lambda: net(outside), lambda: net.begin(outside[:, :5], room=1)):
        with pytest.raises(ShapeError, match=match):
            call()
    with pytest.raises(ShapeError, match=r"Token id -1 at \[0, 0\]"):
        net(torch.tensor([[-1]]))
    with pytest.raises(ShapeError, match="Input has 25 tokens; this model has 24 positions"):
        net(texts(2, 25))
    with pytest.raises(ShapeError, match="Prompt and output may have 25 tokens; this model has 24 positions"):
        net.begin(ids[:, :20], room=5)
    for prompts in (ragged(side="right"), (ids[:, :0], ids[:, :0].bool())):
        with pytest.raises(ShapeError, match="A prompt is empty or padded on the right"):
            net.begin(*prompts, room=1)


@pytest.mark.parametrize("head", ["classify", "tag", None], ids=str)
def test_a_net_with_another_head_writes_nothing(head):
    with pytest.raises(UnsupportedError, match=f'has head "{head}" and writes no text'):
        make(SMALL["gpt-tiny"], head=head).begin(texts(1, 3), room=1)
