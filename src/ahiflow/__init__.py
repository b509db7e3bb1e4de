"""The shared library of ahiflow: vocabulary, contracts and the `ahiflow` command."""

__version__ = "0.1.0"
