"""The wheel and the source distribution: what is in them, and that one can be built from the other."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from packaging.metadata import Metadata

ROOT = Path(__file__).resolve().parent.parent
TOPS = {".ci", ".gitignore", "LICENSE", "PKG-INFO", "README.md", "config.toml", "docs", "proxy", "pyproject.toml"}
TOPS |= {"states", "tests"}
FOR_TOOLS = {".zensical.toml"}
"""What a tool wants at the top level; it is there when the tool is used."""


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a `wheel` or an `sdist` into `folder`, with the backend that pip would use, and return it."""
    backend = f"import sys, hatchling.build as backend; print(backend.build_{kind}(sys.argv[1]))"
    command = [sys.executable, "-c", backend, str(folder)]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stderr
    return folder / built.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build("wheel", ROOT, tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution's one folder."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder)) as archive:
        archive.extractall(folder, filter="data")
    (top,) = (each for each in folder.iterdir() if each.is_dir())
    return top


def read(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (each for each in wheel.namelist() if each.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_the_wheel_has_no_other_top_level_names_than_proxy_and_states(wheel: zipfile.ZipFile) -> None:
    tops = {PurePosixPath(name).parts[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"proxy", "states"}
    modules = {name for name in wheel.namelist() if name.endswith(".py")}
    assert modules == {
        path.relative_to(ROOT).as_posix() for top in ("proxy", "states") for path in (ROOT / top).rglob("*.py")
    }
    assert read(wheel, "entry_points.txt").split("\n") == ["[console_scripts]", "trio-swap = proxy.cli:main", ""]


def test_the_metadata_is_valid_and_the_projects(wheel: zipfile.ZipFile) -> None:
    metadata = Metadata.from_email(read(wheel, "METADATA"), validate=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (metadata.name, str(metadata.version)) == (project["name"], project["version"])
    assert (metadata.license_expression, metadata.license_files) == ("MIT", ["LICENSE"])
    assert str(metadata.requires_python) == project["requires-python"]
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text()


def test_the_wheel_carries_its_licence(wheel: zipfile.ZipFile) -> None:
    assert read(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()


def test_the_wheel_built_from_the_source_distribution_is_the_same(
    unpacked: Path, wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    again = zipfile.ZipFile(build("wheel", unpacked, tmp_path))
    assert again.namelist() == wheel.namelist()
    assert read(again, "RECORD") == read(wheel, "RECORD")  # it has a hash of every file


def test_the_source_distribution_has_what_the_tests_need_and_no_junk(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} - FOR_TOOLS == TOPS
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*")}
    assert {"config.toml", ".ci/constraints.txt", "tests/test_packages.py", "docs/deploy/Dockerfile"} <= names
    junk = ("__pycache__", ".pyc", ".egg-info", ".swp", ".orig", ".log", ".DS_Store", ".venv")
    assert [name for name in names if name.endswith(junk) or "/__pycache__/" in name] == []
