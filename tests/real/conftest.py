"""The tiny models, made when the first test wants them."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from .shelf import fill

WHEELS = {"linux": ("x86_64", "aarch64"), "darwin": ("x86_64", "arm64")}
"""Where llama.cpp's server can be installed from wheels, as the extra `real` says too."""


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every model of `tests.real.shelf`. Where there are wheels, a missing package is an error."""
    if platform.machine() not in WHEELS.get(sys.platform, ()):
        pytest.skip(f"there is no wheel of xllamacpp for {platform.machine()} on {sys.platform}")
    import xllamacpp  # noqa: F401  or every proxy would have to say that its server did not start

    folder = tmp_path_factory.mktemp("shelf")
    fill(folder)
    return folder
