"""The command line: `qkv VERB ...`. It parses, calls the verb of the same name, and shows what comes back."""

from qkv.cli import about, compare, explore, learning, models, translation  # noqa: F401 - each registers its commands
from qkv.cli.app import app, main

__all__ = ["app", "main"]
