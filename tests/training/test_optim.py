import math

import pytest
import torch
from torch import nn

from models.tiny import SMALL, make
from qkv.base.errors import ConfigError
from qkv.training.optim import learning_rate, make_optimiser
from qkv.training.recipe import Recipe


@pytest.mark.parametrize("step", [1, 17, 3999, 4000, 4001, 100_000])
def test_the_papers_schedule(step):
    """lrate = d_model^-0.5 min(step^-0.5, step warmup^-1.5): Vaswani et al. 2017, equation 3."""
    recipe = Recipe(schedule="paper", warmup=4000, lr=77.0)
    wanted = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
    assert learning_rate(recipe, step, 512) == pytest.approx(wanted, rel=1e-12)


def test_the_papers_schedule_has_its_peak_where_the_warm_up_ends():
    recipe = Recipe(schedule="paper", warmup=400)
    rates = [learning_rate(recipe, step, 96) for step in range(1, 1000)]
    assert max(rates) == rates[399] == pytest.approx((96 * 400) ** -0.5, rel=1e-12)


def test_the_papers_schedule_wants_a_width():
    with pytest.raises(ConfigError, match='use "inverse-sqrt" with an lr'):
        learning_rate(Recipe(schedule="paper"), 1)


@pytest.mark.parametrize("schedule", ["cosine", "inverse-sqrt", "constant"])
def test_every_schedule_warms_up_to_lr(schedule):
    recipe = Recipe(schedule=schedule, lr=0.5, warmup=10, steps=100)
    assert [learning_rate(recipe, step) for step in (1, 5, 10)] == pytest.approx([0.05, 0.25, 0.5])


def test_cosine_falls_to_a_hundredth_at_the_last_step():
    recipe = Recipe(schedule="cosine", lr=0.5, warmup=10, steps=110)
    assert learning_rate(recipe, 60) == pytest.approx(0.5 * (0.01 + 0.99 / 2))
    assert learning_rate(recipe, 35) == pytest.approx(0.5 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 4))))
    assert learning_rate(recipe, 110) == learning_rate(recipe, 200) == pytest.approx(0.005)
    assert learning_rate(Recipe(schedule="cosine", lr=0.5, warmup=10, steps=10), 10) == pytest.approx(0.5)


def test_the_other_schedules_after_the_warm_up():
    constant, root = (Recipe(schedule=s, lr=0.5, warmup=10, steps=100) for s in ("constant", "inverse-sqrt"))
    assert learning_rate(constant, 100) == 0.5
    assert learning_rate(root, 40) == pytest.approx(0.25)


@pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)
def test_every_parameter_is_in_exactly_one_group(small):
    net = make(small)
    groups = make_optimiser(net, Recipe(weight_decay=0.1)).param_groups
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in net.parameters())
    names = {id(p): name for name, p in net.named_parameters()}
    decay = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert {name for name, value in decay.items() if value == 0.0} == {
        name for name in decay if name.endswith("bias") or "norm" in name or ".scale_" in name
    }
    assert set(decay.values()) <= {0.0, 0.1}


def test_a_step_is_adams_with_decoupled_decay():
    """Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2."""
    net = nn.Linear(3, 1)
    recipe = Recipe(beta1=0.8, beta2=0.95, adam_eps=1e-3, weight_decay=0.1)
    optimiser = make_optimiser(net, recipe)
    wanted = {name: p.detach().clone() for name, p in net.named_parameters()}
    m, v = ({name: torch.zeros_like(p) for name, p in wanted.items()} for _ in range(2))
    for step in (1, 2, 3):
        for group in optimiser.param_groups:
            group["lr"] = 0.1
        for parameter in net.parameters():
            parameter.grad = torch.randn_like(parameter)
        for name, p in net.named_parameters():
            g = p.grad if p.grad is not None else torch.zeros_like(p)
            m[name] = 0.8 * m[name] + 0.2 * g
            v[name] = 0.95 * v[name] + 0.05 * g.square()
            decay = 0.1 if name == "weight" else 0.0
            update = (m[name] / (1 - 0.8**step)) / ((v[name] / (1 - 0.95**step)).sqrt() + 1e-3)
            wanted[name] = wanted[name] - 0.1 * decay * wanted[name] - 0.1 * update
        optimiser.step()
    for name, p in net.named_parameters():
        torch.testing.assert_close(p.detach(), wanted[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0; it must be at least 1"),
        ({"accumulate": 0}, "accumulate is 0; it must be at least 1"),
        ({"keep": 1}, "at least 2 checkpoints are kept"),
        ({"smoothing": 1.0}, r"smoothing is 1.0; it must be in \[0, 1\)"),
        ({"ema": -0.1}, r"ema is -0.1; it must be in \[0, 1\)"),
        ({"lr": 0.0}, "lr is 0.0; it must be above 0"),
        ({"lr": math.nan}, "lr is nan; it must be above 0"),
        ({"clip": -1.0}, "clip is -1.0; it must be 0 or above"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Recipe(**changes)
