"""The project itself: what imports what, what is pinned, and what the commands of the README are."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import textwrap
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PURE = ("asyncio", "hypercorn", "httpx", "logging", "os", "proxy", "random", "socket", "threading", "time", "trio")


def run(*words: str, cwd: Path = ROOT, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=cwd, input=text, capture_output=True, text=True, timeout=120, check=False)


def test_states_needs_neither_trio_nor_the_network_nor_proxy() -> None:
    program = """
        import importlib, pkgutil, sys

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {"trio", "httpx", "httpcore", "hypercorn", "proxy", "msgspec"}:
                    raise ImportError(f"states imports {name}")

        sys.meta_path.insert(0, Blocked())
        import states
        for module in pkgutil.walk_packages(states.__path__, "states."):
            print(importlib.import_module(module.name).__name__)
    """
    imported = run(sys.executable, "-c", textwrap.dedent(program))
    assert imported.returncode == 0, imported.stderr
    assert "states.settings" in imported.stdout.split()


@pytest.mark.parametrize("module", PURE)
def test_ruff_refuses_an_impure_import_in_states(module: str) -> None:
    ruff = (
        str(Path(sys.executable).with_name("ruff")),
        "check",
        "--no-cache",
        "--select",
        "TID251",
        "--stdin-filename",
    )
    source = f"import {module}\n"
    refused = run(*ruff, "states/settings.py", "-", text=source)
    assert refused.returncode == 1, refused.stderr
    assert "TID251" in refused.stdout
    allowed = run(*ruff, "proxy/cli.py", "-", text=source)
    assert allowed.returncode == 0, allowed.stdout


def test_no_two_modules_have_one_name() -> None:
    names = Counter(
        path.stem for top in ("proxy", "states") for path in (ROOT / top).rglob("*.py") if path.stem != "__init__"
    )
    assert names
    assert [name for name, times in names.items() if times > 1] == []
    assert sorted(set(names) & set(sys.stdlib_module_names)) == []


LOCKS = {"Lock", "RLock", "Condition", "Semaphore", "CapacityLimiter", "StrictFIFOLock", "Barrier", "Thread"}
MODULES_WITH_LOCKS = {"threading", "asyncio", "multiprocessing", "concurrent", "queue", "_thread"}


def test_there_is_no_lock_and_no_thread_that_could_want_one() -> None:
    """R07, R08, R78: whoever holds nothing keeps nobody waiting, and nobody reads what another is writing."""
    found = []
    for path in (each for top in ("proxy", "states") for each in (ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(attr=name) | ast.Name(id=name) if name in LOCKS:
                    found.append((path.name, name))
                case ast.Import(names=names):
                    found += [(path.name, each.name) for each in names if each.name in MODULES_WITH_LOCKS]
                case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in MODULES_WITH_LOCKS:
                    found.append((path.name, module))
                case _:
                    pass
    assert found == []


def test_the_readme_begins_with_its_two_commands_one_line_each() -> None:
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    serve, tests = (block.removesuffix("\n") for block in blocks[:2])
    assert "\n" not in serve + tests
    assert serve.endswith(" serve config.toml")
    assert tests.endswith("/pytest")
    for command in (serve, tests):
        assert command.startswith("python3 -m venv .venv && ")
        assert "-c .ci/constraints.txt" in command


def test_the_first_page_of_the_documentation_has_the_same_two_commands() -> None:
    blocks = re.compile(r"^```console\n(python3 .*\n)```$", re.MULTILINE)
    commands = blocks.findall((ROOT / "README.md").read_text())
    assert len(commands) == 2
    assert blocks.findall((ROOT / "docs" / "index.md").read_text()) == commands


def test_every_dependency_is_pinned_by_name_and_version_alone() -> None:
    lines = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._!+-]+", line)] == []
    pinned = {_normal(line.partition("==")[0]) for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
    names = {_normal(re.match(r"[A-Za-z0-9._-]+", each)[0]) for each in wanted} - {"trio-swap"}  # type: ignore[index]
    assert names - pinned == set()


def test_the_example_configuration_is_the_story() -> None:
    config = tomllib.loads((ROOT / "config.toml").read_text())
    asked = {name: (model["priority"], model.get("unload_delay", 0)) for name, model in config["models"].items()}
    assert asked == {"orchestrator": (1, 0), "explorer": (3, 5), "coder": (2, 5)}
    assert [set(group["members"]) for group in config["groups"].values()] == [set(asked)]


# trio-typing: docs/decisions/0002-trio-typing.md. When one of these fails, a release has mended it: read the page, and
# let the environment with trio-typing be the one that types are checked in.

TYPED = """
import trio

async def ready(task_status: trio.TaskStatus[int]) -> None:
    task_status.started(1)

async def needs_an_int(number: int) -> None:
    await trio.sleep(number)

async def main() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(needs_an_int, "no int", "one too many")
"""


def mypy(folder: Path, settings: str) -> subprocess.CompletedProcess[str]:
    (folder / "typed.py").write_text(TYPED)
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = true\n{settings}")
    return run(sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "typed.py", cwd=folder)


def test_trio_typing_hides_the_types_that_trio_has_itself(tmp_path: Path) -> None:
    shadowed = mypy(tmp_path, "").stdout
    assert 'Name "trio.TaskStatus" is not defined' in shadowed
    assert "start_soon" not in shadowed

    own = tmp_path / "typings"
    own.mkdir()
    for package in ("trio", "outcome"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        (own / package).symlink_to(Path(spec.origin).parent)
    quiet = "[mypy-trio.*,outcome.*]\nfollow_imports = silent\nignore_errors = true\n"
    from_trio = mypy(tmp_path, f"mypy_path = typings\n{quiet}").stdout
    assert "TaskStatus" not in from_trio
    assert 'Argument 1 to "start_soon"' in from_trio


def test_the_mypy_plugin_of_trio_typing_breaks_mypy(tmp_path: Path) -> None:
    broken = mypy(tmp_path, "plugins = trio_typing.plugin\n")
    assert broken.returncode == 2
    assert "INTERNAL ERROR" in broken.stdout + broken.stderr
    assert mypy(tmp_path, "").returncode == 1


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
