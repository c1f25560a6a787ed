"""Byte-pair encoding in one page, to be read: the same merges as the `tokenizers` library learns, the same pieces.

Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", ACL 2016, section 3.2 and
algorithm 1, https://aclanthology.org/P16-1162/. A word starts as its characters. Learning joins the most frequent
neighbours of the whole text, everywhere, and writes that pair down; it does so again until there are merges enough.
Encoding replays the list on a new word. Where the paper marks the end of a word by "</w>", we leave the mark to the
caller: words may come with the space before them (" the"), as in `text/tokenizer.py`.

    >>> merges = learn_merges({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 4)
    >>> merges
    [('e', 's'), ('es', 't'), ('l', 'o'), ('lo', 'w')]
    >>> split_word("lowest", merges)
    ['low', 'est']
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

Merge = tuple[str, str]


def learn_merges(words: Mapping[str, int], n_merges: int) -> list[Merge]:
    """Learn up to `n_merges` merges from words and how often each occurs; fewer when no neighbours are left.

    Of equally frequent pairs, that of the older symbols comes first: characters by code point, then merges as learned.
    """
    pieces = {word: list(word) for word in words}
    age = {symbol: i for i, symbol in enumerate(sorted(set("".join(words))))}
    counts: Counter[Merge] = Counter()
    where: defaultdict[Merge, set[str]] = defaultdict(set)
    for word, symbols in pieces.items():
        for pair in pairwise(symbols):
            counts[pair] += words[word]
            where[pair].add(word)

    merges = []
    while len(merges) < n_merges and counts:
        best = min(counts, key=lambda pair: (-counts[pair], age[pair[0]], age[pair[1]]))
        merges.append(best)
        age.setdefault("".join(best), len(age))
        for word in where.pop(best):
            old, new = pieces[word], join(pieces[word], best)
            for pair in pairwise(old):
                counts[pair] -= words[word]
            for pair in pairwise(new):
                counts[pair] += words[word]
                where[pair].add(word)
            pieces[word] = new
        counts = +counts
    return merges


def join(symbols: list[str], pair: Merge) -> list[str]:
    """Join every occurrence of a pair of neighbours, from the left: in "aaa" the first two."""
    joined = []
    i = 0
    while i < len(symbols):
        step = 2 if tuple(symbols[i : i + 2]) == pair else 1
        joined.append("".join(symbols[i : i + step]))
        i += step
    return joined


def split_word(word: str, merges: Iterable[Merge]) -> list[str]:
    """Split a word into pieces: while neighbours are on the list, join those that were learned first."""
    rank = {pair: i for i, pair in enumerate(merges)}
    symbols = list(word)
    while known := rank.keys() & set(pairwise(symbols)):
        symbols = join(symbols, min(known, key=rank.__getitem__))
    return symbols
