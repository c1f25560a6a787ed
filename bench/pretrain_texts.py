"""Pretraining on Python's manual at equal wall time: our objective on our net, transformers' class in a plain loop.

Both start from the same weights, read the same passages in the same order, take the same learning rates as their time
goes by, and clip and step alike; each at its best precision. One after the other, each in a process of its own.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rig.report import Report
from rig.turns import Contender, Work, take_turns

RECIPES = Path(__file__).parents[1] / "recipes"
NETS = {"GPT-tiny, next token": "gpt_pydoc.toml", "BERT-tiny, hidden tokens": "bert_pydoc.toml"}
LEFT_OUT = -100
Step = Callable[[Any], torch.Tensor]
Judge = Callable[[], float]


def open_job(recipe: str) -> Any:
    """Return the settings of a recipe, and the training that they stand for."""
    from qkv.verbs.pretrain import DEFAULTS, make
    from qkv.verbs.settings import PretrainSettings, merge, read_settings

    settings = merge(DEFAULTS, read_settings(RECIPES / recipe), where=recipe, kind=PretrainSettings)
    return settings.recipe, make(settings)


def read_passages(recipe: Any, job: Any) -> Iterator[Any]:
    """Yield batches without end, as the recipe orders them."""
    from qkv.data.sampler import Cursor, Sampler, load

    sampler = Sampler([job.task.length(one) for one in job.examples], recipe.budget, seed=recipe.seed)
    for _, batch in load(job.examples, sampler, Cursor(0, 0), workers=0, vary=job.task.vary, collate=job.task.batch):
        yield batch


def make_qkv(recipe: str) -> Work:
    """What `qkv pretrain` does in a step: logits where there is something to learn, bfloat16."""
    settings, job = open_job(recipe)
    net, task = job.model.net, job.task

    def step(batch: Any) -> torch.Tensor:
        loss = task.loss(net, batch)
        return loss.total / loss.n_units

    def judge() -> float:
        return task.figures(net, job.watched)["loss"]

    return partial(run, settings, net, step, judge, partial(read_passages, settings, job), "bf16")


def make_transformers(recipe: str, folder: Path) -> Work:
    """The class as its documentation trains it, all logits at once; the fastest of its precisions and attentions."""
    import transformers

    settings, job = open_job(recipe)
    job.model.save(folder, format="hf")
    kind = transformers.GPT2LMHeadModel if "gpt" in recipe else transformers.BertForMaskedLM
    some = next(read_passages(settings, job))

    def ready(dtype: str, attention: str) -> tuple[Any, Step, str]:
        net: Any = kind.from_pretrained(folder, attn_implementation=attention)

        def step(batch: Any) -> torch.Tensor:
            mask = getattr(batch, "mask", None)
            logits = net(input_ids=batch.ids, attention_mask=None if mask is None else mask.long()).logits
            labels = torch.full_like(batch.ids, LEFT_OUT).masked_scatter(batch.keep, batch.labels)
            return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=LEFT_OUT)

        return net, step, dtype

    def seconds(way: tuple[Any, Step, str]) -> float:
        net, step, dtype = way
        taken = []
        for _ in range(4):
            begun = time.perf_counter()
            with cast(dtype):
                loss = step(some)
            loss.backward()
            taken.append(time.perf_counter() - begun)
        net.zero_grad()
        return min(taken)

    ways = [ready(dtype, attention) for dtype in ("fp32", "bf16") for attention in ("sdpa", "eager")]
    net, step, dtype = min(ways, key=seconds)

    @torch.inference_mode()
    def judge() -> float:
        from qkv.tasks.objective import batches

        nats, count = 0.0, 0
        for batch in batches(job.task, job.watched, 4096):
            nats, count = nats + step(batch).item() * len(batch.labels), count + len(batch.labels)
        return nats / count

    chosen = f"{dtype}, {net.config._attn_implementation} attention"
    return partial(run, settings, net, step, judge, partial(read_passages, settings, job), dtype, chosen=chosen)


def cast(dtype: str) -> Any:
    """Return autocast, or nothing."""
    return torch.autocast("cpu", torch.bfloat16) if dtype == "bf16" else nullcontext()


def run(
    settings: Any,
    net: torch.nn.Module,
    step: Step,
    judge: Judge,
    read: Callable[[], Iterator[Any]],
    dtype: str,
    job: dict[str, float],
    *,
    chosen: str = "bf16",
) -> dict[str, Any]:
    """Train for so many seconds; judging takes none of them. Return the curve, steps and tokens."""
    from qkv.training.optim import learning_rate, make_optimiser

    optimiser, seconds, passages = make_optimiser(net, settings), job["seconds"], read()
    marks = [seconds * (i + 1) / job["points"] for i in range(int(job["points"]))]
    spent, steps, tokens, curve = 0.0, 0, 0, []
    horizon = replace(settings, steps=1_000_000, warmup=int(1e6 * settings.warmup / settings.steps))
    while marks:
        begun = time.perf_counter()
        batch = next(passages)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(horizon, 1 + min(999_999, int(1e6 * spent / seconds)), None)
        net.train()
        with cast(dtype):
            loss = step(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimiser.step()
        optimiser.zero_grad()
        steps, tokens, spent = steps + 1, tokens + batch.ids.numel(), spent + time.perf_counter() - begun
        if spent >= marks[0]:
            net.eval()
            with torch.inference_mode():
                curve.append((marks.pop(0), steps, judge()))
    return {"curve": curve, "steps": steps, "tokens": tokens, "chosen": chosen}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="five seconds each; nothing written")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    seconds, points = (5, 2) if options.quick else (options.seconds, 6)
    report = Report("pretrain_texts", "Pretraining at equal wall time")
    report.say_machine(options.threads, "torch", "transformers")
    report.say(
        f"The recipes {' and '.join(NETS.values())}, {seconds} s of steps each; nats per token on the documents held "
        "out, judging not counted. The same weights to begin with, passages, learning rates over time."
    )
    for title, recipe in NETS.items():
        with tempfile.TemporaryDirectory() as folder:
            rows = [
                Contender(
                    name="transformers", make=make_transformers, options={"recipe": recipe, "folder": Path(folder)}
                ),
                Contender(name="qkv", make=make_qkv, options={"recipe": recipe}),
            ]
            outcomes = take_turns(
                rows, {title: {"seconds": seconds, "points": points}}, rounds=0, threads=options.threads
            )
        found = {name: outcome.results[title] for name, outcome in outcomes.items()}
        head = ["", *[f"{mark:.0f} s" for mark, *_ in found["qkv"]["curve"]], "steps", "tokens/s"]
        table = [
            [
                f"{name} ({one['chosen']})",
                *[f"{loss:.3f}" for *_, loss in one["curve"]],
                str(one["steps"]),
                f"{one['tokens'] / seconds:,.0f}",
            ]
            for name, one in found.items()
        ]
        report.table(f"{title}: validation loss", head, table)
        ratio = found["qkv"]["steps"] / found["transformers"]["steps"]
        report.say(f"qkv takes {ratio:.2f} times as many steps in the same time.")
        report.numbers[title] = found
    report.write(quick=options.quick)


if __name__ == "__main__":
    main()
