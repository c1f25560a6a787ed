"""Python's own manual, as it lies on every machine: English prose about a programming language, by topics."""

from pydoc_data.topics import topics


def load_pydoc() -> list[str]:
    """Return the topics as documents (Python 3.11: 78 with 65,000 words), each once.

    What they say depends on the version of Python; `split_documents` puts a topic that did not change on the same side.
    """
    return list(dict.fromkeys(topics[name].strip("\n") for name in sorted(topics)))
