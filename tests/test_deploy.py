"""What docs/deploy/ has for containers and for systemd: it is checked by those who read it, where they are here."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
import trio

from proxy.app import _longest_end_s
from proxy.config import load_config
from tests.live.proxy_process import demo, running_proxy

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "docs" / "deploy"
UNIT = DEPLOY / "trio-swap.service"
DOCKERFILE = DEPLOY / "Dockerfile"
EXPOSURE = 20
"""Tenths: `systemd-analyze security` calls 2.0 and less OK."""


def run(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def beside_python(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


# systemd


@cache
def unit() -> dict[str, list[str]]:
    """Every key of `[Service]` with its values, in order."""
    keys: dict[str, list[str]] = {}
    section = UNIT.read_text().split("\n[Service]\n")[1].split("\n[Install]\n")[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            keys.setdefault(key, []).append(value)
    return keys


systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")


@systemd
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    # It also looks whether the program is there.
    (copy := tmp_path / UNIT.name).write_text(UNIT.read_text().replace("/opt/trio-swap/bin/trio-swap", "/bin/true"))
    verified = run("systemd-analyze", "verify", "--man=no", str(copy))
    assert (verified.returncode, verified.stderr) == (0, "")


@systemd
def test_systemd_finds_the_unit_well_shut_off() -> None:
    version = re.search(r"systemd (\d+)", run("systemd-analyze", "--version").stdout)
    if version is None or int(version[1]) < 250:
        pytest.skip("systemd-analyze security reads files from systemd 250 on")
    judged = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(UNIT))
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_unit_waits_as_long_as_an_end_may_take() -> None:
    seconds = int(unit()["TimeoutStopSec"][0])
    assert seconds >= _longest_end_s(load_config(ROOT / "config.toml"))
    assert f"stop_grace_period: {seconds}s" in (DEPLOY / "compose.yaml").read_text()


def test_the_unit_leaves_the_servers_to_the_proxy_and_does_not_repeat_a_mistake() -> None:
    assert unit()["Type"] == ["notify"]
    assert unit()["KillMode"] == ["mixed"]
    assert unit()["OOMPolicy"] == ["continue"]
    assert (unit()["Restart"], unit()["RestartPreventExitStatus"]) == (["on-failure"], ["2"])
    assert int(unit()["WatchdogSec"][0]) > 0


def test_the_unit_takes_no_gpu_away() -> None:
    assert unit()["PrivateDevices"] == ["no"]
    assert {"char-nvidia* rw", "char-drm rw", "char-kfd rw"} <= set(unit()["DeviceAllow"])
    assert unit().keys().isdisjoint({"MemoryDenyWriteExecute", "ProcSubset"})


def test_a_unit_file_is_an_ini_file_without_a_key_twice_by_mistake() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(UNIT)
    assert parser.sections() == ["Unit", "Service", "Install"]
    assert {key for key, values in unit().items() if len(values) > 1} == {"DeviceAllow", "SystemCallFilter"}


# Containers


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    linted = run(beside_python("hadolint"), "--no-color", str(DOCKERFILE))
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize("name", ["compose.yaml", "compose.nvidia.yaml"])
def test_compose_files_follow_the_specification(name: str) -> None:
    checked = run(beside_python("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(DEPLOY / name))
    assert checked.returncode == 0, checked.stdout


def test_all_that_the_dockerfile_copies_is_there_and_is_sent_and_nothing_else_is() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    sources = {source for words in copied for source in shlex.split(words)[:-1]}
    assert [source for source in sources if not (ROOT / source).exists()] == []
    everything, *rest = [
        line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[0] != "#"
    ]
    assert everything == "*"
    assert {line[1:] for line in rest if line.startswith("!")} == sources
    assert fnmatch("proxy/__pycache__", next(line for line in rest if not line.startswith("!")))


def test_the_container_serves_its_configuration_as_nobody_special() -> None:
    text = DOCKERFILE.read_text()
    assert re.findall(r"^USER (\S+)$", text, flags=re.MULTILINE)[-1] == "10001"
    assert 'ENTRYPOINT ["/opt/trio-swap/bin/trio-swap"]' in text
    assert "STOPSIGNAL SIGTERM" in text
    assert "-c .ci/constraints.txt" in text


async def test_the_health_check_passes_and_fails_with_the_proxy(tmp_path: Path) -> None:
    program = re.search(r'"(import http\.client.*)"\]', DOCKERFILE.read_text())
    assert program is not None
    async with running_proxy(tmp_path, demo("m")) as proxy:
        check = [sys.executable, "-c", program[1].replace("8080", str(proxy.address[1]))]
        assert (await trio.run_process(check)).returncode == 0
        assert await proxy.end() == 0
        refused = await trio.run_process(check, capture_stderr=True, check=False)
        assert refused.returncode == 1


@cache
def no_engine() -> str:
    """Why no container can be built here; empty: it can."""
    if shutil.which("docker") is None:
        return "there is no docker here"
    asked = run("docker", "info", "--format", "{{.ServerVersion}}")
    return "" if asked.returncode == 0 and asked.stdout.strip() else "no container engine answers here"


@pytest.mark.skipif("no_engine()", reason="needs a container engine")
def test_docker_builds_the_image_and_it_knows_its_version() -> None:
    built = run("docker", "build", "-q", "-f", str(DOCKERFILE), "-t", "trio-swap-test", ".", timeout=1200)
    assert built.returncode == 0, built.stderr
    asked = run("docker", "run", "--rm", "--read-only", "trio-swap-test", "--version")
    assert asked.stdout.startswith("trio-swap ")
