"""Models as people use them: `load` returns one, by what it reads a Translator, Reader, Writer or Viewer."""

from qkv.model.core import Model
from qkv.model.loading import load
from qkv.model.reader import Reader
from qkv.model.translator import Translator
from qkv.model.viewer import Viewer
from qkv.model.writer import Writer

__all__ = ["Model", "Reader", "Translator", "Viewer", "Writer", "load"]
