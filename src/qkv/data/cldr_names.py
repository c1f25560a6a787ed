"""Names of languages, territories, currencies and units in any two locales: "Germany" and "Németország"."""

from collections.abc import Iterator

from babel import Locale

from qkv.data.pairs import Pair

NameKey = tuple[str, str]
"""Kind ("currency", "language", "territory" or "unit") and CLDR's code of what bears the name."""


def list_names(locale: Locale) -> dict[NameKey, str]:
    """Return all names that the locale has. A bare code ("XPF") is no name and is left out."""
    tables = {
        "currency": locale.currencies,
        "language": locale.languages,
        "territory": locale.territories,
        "unit": {code: styles["long"] for code, styles in locale.unit_display_names.items() if "long" in styles},
    }
    return {(kind, code): name for kind, table in tables.items() for code, name in table.items() if name != code}


class Names:
    """The names that both locales have, without alignment.

    Names that are equal in both stay: to leave "Canada" alone is part of translating. Where one side has a name twice
    ("Nauru", the language and the island) the first stays, so that no name is in two splits.
    """

    def __init__(self, source: Locale, target: Locale):
        self._source, self._target = list_names(source), list_names(target)

    def items(self) -> Iterator[tuple[str, NameKey]]:
        """Yield (content, item), in the order of the keys."""
        seen_source: set[str] = set()
        seen_target: set[str] = set()
        for key in sorted(self._source.keys() & self._target.keys()):
            source, target = self._source[key], self._target[key]
            if source not in seen_source and target not in seen_target:
                yield " ".join(key), key
            seen_source.add(source)
            seen_target.add(target)

    def pair(self, key: NameKey) -> Pair:
        """Return one name in both locales."""
        return Pair(self._source[key], self._target[key])
