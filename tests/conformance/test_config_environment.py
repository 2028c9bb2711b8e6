"""What the environment says where YAML decides what it is, against sections 1.7, 2.3 and 10 of llama-swap's behaviour.

Each docstring begins with its section. There the text is replaced before YAML is read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .config_stage import MODEL, load, model, notes, refused, scheduling


def test_a_value_without_quotes_is_what_yaml_makes_of_it(tmp_path: Path) -> None:
    """2.3: a number or a flag; with quotes, or for words, a text."""
    text = f"""
macros: {{n: ${{env.N}}, q: "${{env.N}}"}}
{MODEL}    metadata: {{n: ${{env.N}}, quoted: "${{env.N}}", by_macro: "${{n}}",
      text: "${{q}}", flag: ${{env.YES}}, w: ${{env.W}}}}
    filters: {{setParams: {{seed: ${{env.N}}, list: [1, ${{env.F}}]}}}}
"""
    found = model(load(tmp_path, text, {"N": "5", "YES": "true", "W": "a word", "F": "2.50"}))
    assert found.metadata == {"n": 5, "quoted": "5", "by_macro": 5, "text": "5", "flag": True, "w": "a word"}
    assert found.filters.set == {"seed": 5, "list": [1, 2.5]}


def test_names_of_models_selectors_profiles_and_peers_may_come_from_it(tmp_path: Path) -> None:
    """2.3."""
    text = """
        models:
          ${env.ID}: {cmd: "server --port ${PORT}", aliases: [nick]}
        groups: {g: {members: ["${env.ID}"]}}
        selectors:
          ${env.ANY}: {strategy: pin, targets: [nick]}
        peers:
          ${env.FAR}: {proxy: "http://127.0.0.1:9", models: [x]}
        profiles:
          ${env.NIGHT}: {pins: {x: nick}}
        routing:
          scheduler: {settings: {fifo: {priority: {"${env.ID}": 4}}}}
    """
    config = load(tmp_path, text, {"ID": "org/m", "ANY": "any", "FAR": "far", "NIGHT": "night"})
    assert (list(config.models), list(config.selectors)) == (["org/m"], ["any"])
    assert (list(config.peers), list(config.profiles)) == (["far"], ["night"])
    assert scheduling(config, "org/m").priority == 4
    assert notes(config) == []


@pytest.mark.parametrize(
    ("environment", "mistake"),
    [
        ({}, "2:3 models.\"${env.ID}\": ${env.ID}: the environment variable 'ID' is not set"),
        ({"ID": "n"}, '3:3 models.n: "n" is here a second time'),
    ],
)
def test_a_name_from_it_that_cannot_be_has_its_place(tmp_path: Path, environment: dict[str, str], mistake: str) -> None:
    """2.3, 10."""
    text = "models:\n  ${env.ID}: {cmd: 'x ${PORT}'}\n  n: {cmd: 'x ${PORT}'}\n"
    assert any(each.startswith(mistake) for each in refused(tmp_path, text, environment)), refused(
        tmp_path, text, environment
    )
