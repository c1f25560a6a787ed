"""The version of qkv: read by the build, written into every run and model card."""

__version__ = "0.1.0"
