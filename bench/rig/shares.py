"""Where the time of a piece of work goes, by kind of operation."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from torch.profiler import ProfilerActivity, profile

KINDS: Mapping[str, Sequence[str]] = {
    "products with weights": ("_linear_pointwise", "aten::mm", "aten::addmm"),
    "attention": ("scaled_dot_product", "aten::bmm", "aten::baddbmm", "aten::softmax", "aten::_softmax"),
    "norms, activations, sums": ("layer_norm", "silu", "relu", "clamp_min", "threshold", "aten::add", "aten::mul"),
    "logits to tokens or loss": ("topk", "amax", "exp_", "sub_", "log_softmax", "nll_loss", "gather", "aten::sum"),
    "caches": ("index_copy", "index_select"),
    "dropout's random numbers": ("bernoulli",),
    "copies and casts": ("copy_", "aten::cat", "fill_", "zero_"),
    "optimiser": ("adamw", "linalg_vector_norm", "AdamW"),
}


def time_shares(work: Callable[[], object]) -> list[tuple[str, float]]:
    """Run the work once under the profiler; return each kind of operation and its share of the time, largest first.

    What PyTorch's operations do not account for, Python and dispatch among it, is the rest.
    """
    work()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    events = seen.key_averages()
    seconds: Counter[str] = Counter()
    for event in events:
        seconds[_kind(event.key)] += event.self_cpu_time_total
    total = sum(seconds.values())
    return [(kind, part / total) for kind, part in seconds.most_common() if part > 0]


def _kind(name: str) -> str:
    for kind, words in KINDS.items():
        if any(word in name for word in words):
            return kind
    return "the rest"
