"""The engine against itself, whole against parts, and against passes without a cache."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from generation.lively import DECODERS, NAMES, ROOM, Lively, lively, logits
from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.generation.engine import generate
from qkv.generation.outputs import Hypothesis
from qkv.generation.sampling import Sampling
from qkv.models.family import Decoder

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampled": {"sampling": Sampling(temperature=0.8, top_k=12, repetition_penalty=1.3)},
    "nucleus": {"sampling": Sampling(top_p=0.8, min_p=0.05, seed=3)},
    "beam": {"beams": 3},
}
every_net = pytest.mark.parametrize("name", NAMES)
every_decoder = pytest.mark.parametrize("name", DECODERS)
every_way = pytest.mark.parametrize("way", WAYS)


def spell(ids: list[int]) -> str:
    """Write a token as one to three letters."""
    return "".join(("a", "bc", "cab")[i % 3] + "xy"[i % 2] * (i % 5 == 0) for i in ids)


def run(one: Lively, **settings: Any) -> list[Hypothesis]:
    return generate(one.net, one.ids, one.mask, **{"room": ROOM, "end_ids": one.ends, "decode": spell} | settings)


def said(one: Hypothesis) -> tuple[list[int], str, str]:
    return one.ids, one.why, one.text


def count_rows(monkeypatch: pytest.MonkeyPatch, net: Any) -> list[int]:
    """Return a list to which every step adds the size of its batch."""
    n_rows: list[int] = []
    step = net.step
    monkeypatch.setattr(net, "step", lambda ids, state: n_rows.append(len(ids)) or step(ids, state))
    return n_rows


@every_net
@every_way
def test_a_batch_of_unequal_prompts_is_its_rows(name, way, monkeypatch):
    one = lively(name)
    n_rows = count_rows(monkeypatch, one.net)
    together = run(one, **WAYS[way])
    assert n_rows == sorted(n_rows, reverse=True)
    assert way == "beam" or n_rows[-1] < n_rows[0]
    for found, prompt in zip(together, one.rows(), strict=True):
        (alone,) = run(one._replace(ids=prompt, mask=torch.ones_like(prompt, dtype=torch.bool)), **WAYS[way])
        assert said(found) == said(alone)
        assert found.score == pytest.approx(alone.score, abs=1e-6)
    assert len({tuple(found.ids) for found in together}) > 2


@every_net
@every_way
def test_the_score_is_that_of_a_pass_without_a_cache(name, way):
    one = lively(name)
    for found, prompt in zip(run(one, **WAYS[way]), one.rows(), strict=True):
        log_p = logits(one.net, prompt, found.ids[:-1]).log_softmax(-1)
        values = log_p.gather(1, torch.tensor(found.ids)[:, None])
        assert found.score == pytest.approx(values.mean().item(), abs=1e-5)
        assert (found.why == "end") == (found.ids[-1] in one.ends) and len(found.ids) <= ROOM
        assert found.why == "end" or len(found.ids) == ROOM
        assert found.text == spell(found.ids[:-1] if found.why == "end" else found.ids)


@every_net
def test_greedy_takes_the_likeliest_token_at_every_step(name):
    one = lively(name)
    for found, prompt in zip(run(one), one.rows(), strict=True):
        values = logits(one.net, prompt, found.ids[:-1])
        never = [] if isinstance(one.net, Decoder) else [one.net.cfg.pad_id]
        values = values.index_fill(1, torch.tensor(never, dtype=torch.long), -torch.inf)
        assert found.ids == values.argmax(-1).tolist()


@every_net
def test_what_a_text_holds_it_repeats_less(name):
    """A decoder's text begins with its prompt; an encoder-decoder's source is another text."""
    one = lively(name)
    sampling = Sampling(top_k=1, repetition_penalty=1.5)
    for found, prompt in zip(run(one, sampling=sampling, never=[]), one.rows(), strict=True):
        said = set(prompt[0].tolist()) if isinstance(one.net, Decoder) else set()
        for row, token in zip(logits(one.net, prompt, found.ids[:-1]).clone(), found.ids, strict=True):
            for i in said:
                row[i] *= 1.5 if row[i] < 0 else 1 / 1.5
            assert token == row.argmax()
            said.add(token)
    assert run(one, sampling=sampling) != run(one)


@every_net
@pytest.mark.parametrize("beams", [1, 3])
def test_no_step_is_made_whose_logits_nobody_reads(name, beams, monkeypatch):
    one = lively(name)
    n_rows = count_rows(monkeypatch, one.net)
    found = run(one, beams=beams, end_ids=[], room=4)
    first = 0 if isinstance(one.net, Decoder) else 1  # an encoder-decoder's first token takes a step, too
    assert len(n_rows) == 3 + first and {len(one.ids) for one in found} == {4}


@every_decoder
@every_way
@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_a_prompt_in_chunks_is_the_prompt(name, way, chunk):
    one = lively(name)
    for part, whole in zip(run(one, chunk=chunk, **WAYS[way]), run(one, **WAYS[way]), strict=True):
        assert said(part) == said(whole)
        assert part.score == pytest.approx(whole.score, abs=1e-6)


@every_decoder
def test_chunks_are_what_the_net_reads_at_a_time(name, monkeypatch):
    one, sizes = lively(name), []
    read = one.net.stack.forward
    monkeypatch.setattr(
        one.net.stack, "forward", lambda x, *rest, **more: sizes.append(x.size(1)) or read(x, *rest, **more)
    )
    run(one, chunk=3, room=2, end_ids=[])
    assert sizes == [3, 3, 1, 1]


@every_net
@every_way
@pytest.mark.parametrize("stop", [(), ("ab",), ("ca", "y", "zzz")])
def test_what_is_passed_on_is_what_is_returned(name, way, stop):
    one = lively(name)
    if way == "beam":
        stop = ()
    passed: dict[int, tuple[list[int], str]] = {i: ([], "") for i in range(6)}

    def listen(i: int, ids: list[int], text: str) -> None:
        assert ids or text
        passed[i] = (passed[i][0] + ids, passed[i][1] + text)

    found = run(one, stop=stop, stream=listen, **WAYS[way])
    assert [passed[i] for i in range(6)] == [(one.ids, one.text) for one in found]
    assert found == run(one, stop=stop, **WAYS[way])
    assert not stop or any(one.why == "stop" for one in found)


@every_net
def test_tokens_are_passed_on_as_they_come(name):
    """Without stop strings nothing is held back: after each step all that was written is out."""
    one, calls = lively(name), []
    found = run(one, stream=lambda i, ids, text: calls.append((i, len(ids))))
    longest = max(len(one.ids) for one in found)
    steps = [[i for i, one in enumerate(found) if len(one.ids) > step] for step in range(longest)]
    assert calls == [(i, 1) for step in steps for i in step]
    without = []
    assert run(one, decode=None, stream=lambda i, ids, text: without.append((i, len(ids), text)))[0].text == ""
    assert without == [(i, n, "") for i, n in calls]


@every_net
@pytest.mark.parametrize("way", ["greedy", "sampled"])
@pytest.mark.parametrize("stop", [("bc",), ("cb", "ya"), ("aaa",), ("xcabbc", "b")])
def test_stop_strings_cut_the_output_where_they_begin(name, way, stop, monkeypatch):
    one = lively(name)
    whole = run(one, **WAYS[way])
    n_rows = count_rows(monkeypatch, one.net)
    longest = 0
    for cut, full in zip(run(one, stop=stop, **WAYS[way]), whole, strict=True):
        words = full.ids[:-1] if full.why == "end" else full.ids
        ends = [len(spell(words[: i + 1])) for i in range(len(words))]
        first = next(((i, p) for i, e in enumerate(ends) for p in _places(full.text[:e], stop)), None)
        if first is None:
            assert said(cut) == said(full)
        else:
            place = min(_places(full.text[: ends[first[0]]], stop))
            assert (cut.why, cut.text) == ("stop", full.text[:place])
            assert cut.ids == [token for token, end in zip(words, ends, strict=True) if end <= place]
            assert not any(s in cut.text for s in stop)
        longest = max(longest, len(full.ids) if first is None else first[0] + 1)
    assert len(n_rows) == longest - isinstance(one.net, Decoder)  # what stopped is not gone on with


def _places(text: str, stop: tuple[str, ...]) -> list[int]:
    return [text.find(s) for s in stop if s in text]


@every_net
@every_way
@pytest.mark.parametrize("after", [0, 1, 4])
def test_ctrl_c_returns_what_there_is(name, way, after, monkeypatch):
    one = lively(name)
    whole, calls = run(one, end_ids=[], **WAYS[way]), []
    step, first = one.net.step, not isinstance(one.net, Decoder)

    def interrupted(ids: torch.Tensor, state: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) > after + first:
            raise KeyboardInterrupt
        return step(ids, state)

    monkeypatch.setattr(one.net, "step", interrupted)
    found = run(one, end_ids=[], **WAYS[way])
    assert [(len(one.ids), one.why) for one in found] == [(after + 1, "interrupted")] * 6
    assert all(one.text == spell(one.ids) and len(one.rows) == len(one.ids) for one in found)
    if way != "beam":
        assert [one.ids for one in found] == [one.ids[: after + 1] for one in whole]


@every_net
def test_ctrl_c_spares_what_was_finished(name, monkeypatch):
    one = lively(name)
    whole, passed = run(one), []
    early = min(len(one.ids) for one in whole)

    def listen(i: int, ids: list[int], text: str) -> None:
        passed.append(i)
        if passed.count(i) > early:
            raise KeyboardInterrupt

    found = run(one, stream=listen)
    assert {one.why for one in found} == {"end", "interrupted"}
    for cut, full in zip(found, whole, strict=True):
        assert said(cut) == said(full) if cut.why == "end" else full.ids[: len(cut.ids)] == cut.ids
        assert cut.text == spell(cut.ids[:-1] if cut.why == "end" else cut.ids)


@every_net
@every_way
def test_ctrl_c_while_prompts_are_read_returns_nothing_written(name, way, monkeypatch):
    def interrupted(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    one = lively(name)
    monkeypatch.setattr(one.net, "begin", interrupted)
    assert run(one, **WAYS[way]) == [Hypothesis([], 0.0, [], "interrupted")] * 6


@every_net
@every_way
def test_rooms_may_differ_and_what_is_forbidden_is_never_written(name, way):
    one, rooms = lively(name), [1, 2, 3, 4, 5, 6]
    free = run(one, end_ids=[], room=rooms, **WAYS[way])
    assert [len(one.ids) for one in free] == rooms
    never = {token for one in free for token in one.ids}
    assert not never & {token for h in run(one, end_ids=[], never=never, **WAYS[way]) for token in h.ids}


@every_net
def test_ends_come_from_the_configuration_unless_given(name):
    one = lively(name)
    end = run(one, end_ids=[])[2].ids[2]
    named = {"end_ids": (end, 0)} if isinstance(one.net, Decoder) else {"end_id": end}
    changed = copy.copy(one.net)
    changed.cfg = replace(one.net.cfg, **named)
    found = run(one._replace(net=changed), end_ids=None)
    assert found[2].why == "end" and found == run(one, end_ids=[end, 0] if isinstance(one.net, Decoder) else [end])


@every_decoder
def test_prompts_that_cannot_be_gone_on_with_are_refused(name):
    one = lively(name)
    none = torch.zeros(2, 0, dtype=torch.long)
    with pytest.raises(ShapeError, match=r"^Prompt is empty: give text, or --bos\.$"):
        generate(one.net, none, none.bool(), room=3)
    with pytest.raises(ShapeError, match="Prompt is empty"):
        generate(one.net, one.ids, one.mask & (torch.arange(6) != 3)[:, None], room=3)
    with pytest.raises(ShapeError, match="left"):
        generate(one.net, one.ids, one.mask.flip(1), room=3)
    with pytest.raises(ShapeError, match="25 tokens; this model has 24 positions"):
        generate(one.net, one.ids, one.mask, room=18)
    with pytest.raises(UnsupportedError, match=r"net\.eval"):
        generate(copy.deepcopy(one.net).train(), one.ids, one.mask, room=3)
    assert generate(one.net, one.ids[:0], one.mask[:0], room=3) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"room": 0}, "room is 0; it must be at least 1"),
        ({"room": [1, 1, 1, 1, 1, -2]}, "room is -2; it must be at least 1"),
        ({"beams": 0}, "beams is 0"),
        ({"chunk": 0}, "chunk is 0"),
        ({"beams": 2, "sampling": Sampling()}, "beams is 2, and a beam knows no sampling"),
        ({"beams": 2, "stop": ["a"]}, "beams is 2, and a beam knows no stop strings"),
        ({"stop": ["a"], "decode": None}, "give `decode`"),
        ({"stop": ["a", ""]}, 'A stop string is ""'),
    ],
)
def test_options_that_say_nothing_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        run(lively("gpt-tiny"), **options)
