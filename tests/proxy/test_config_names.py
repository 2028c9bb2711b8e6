"""Names that lead somewhere: variants of a model, selectors, profiles and peers, as a file says them."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from proxy.config.routing import SelectorStrategy
from states.settings import ModelId

from .test_config import CMD, load, mistakes, one_mistake

A, B = ModelId("a"), ModelId("b")
MODELS = f"[models.a]\n{CMD}aliases = ['one']\n[models.b]\n{CMD}"
"""Five lines."""
PEER = "[peers.p]\nproxy = 'http://127.0.0.1:9'\nmodels = ['m']\n"
TOGETHER = "[groups.g]\nmembers = ['a', 'b']\nswap = false\n"


# --- variants: names of set_params_by_id


def test_a_name_with_settings_leads_to_its_model_as_an_alias_does(tmp_path: Path) -> None:
    text = f"""
        {MODELS}
        [models.b.filters.set_params_by_id]
        "b:high" = {{ effort = "high" }}
        b = {{ effort = "low" }}
        [hooks.on_startup]
        preload = ["b:high", "one", "b"]
    """
    config = load(text, tmp_path)
    assert [config.resolve(name) for name in ("b:high", "b", "one", "c")] == [B, B, A, None]
    assert config.models[B].filters.set_by_name == {"b:high": {"effort": "high"}, "b": {"effort": "low"}}
    assert config.preload == (B, A)


def test_an_alias_of_the_model_may_have_settings_of_its_own(tmp_path: Path) -> None:
    config = load(f"[models.a]\n{CMD}aliases = ['x']\nfilters.set_params_by_id.x.n = 1\n", tmp_path)
    assert config.resolve("x") == A


@pytest.mark.parametrize(
    ("name", "owner"), [("b", "b"), ("'two'", "b"), ("v", "b")], ids=["an id", "an alias", "another's variant"]
)
def test_a_name_with_settings_is_no_other_models_name(name: str, owner: str, tmp_path: Path) -> None:
    text = (
        f"[models.b]\n{CMD}aliases = ['two']\nfilters.set_params_by_id.v.n = 1\n"
        f"[models.a]\n{CMD}filters.set_params_by_id.{name}.n = 1\n"
    )
    bare = name.strip("'")
    assert one_mistake(text, tmp_path) == (
        f'7:26 models.a.filters.set_params_by_id.{bare}: "{bare}" is a name of the model "{owner}" already:'
        " a name leads to one model"
    )


# --- selectors


def test_a_selector_has_its_defaults_and_its_keys(tmp_path: Path) -> None:
    text = f"""
        {MODELS}{PEER}{TOGETHER}
        [selectors.first]
        strategy = "pin"
        targets = ["one", "p/m", "m"]
        [selectors.any]
        strategy = "warm"
        targets = ["a", "one", "b"]
        [selectors.more]
        strategy = "spillover"
        targets = ["a", "b", "p/m"]
        spillover = 3
        name = "More"
        description = "of ${{env.KEY}}"
        unlisted = true
        metadata = {{ kind = ["${{env.KEY}}", 1] }}
    """
    selectors = load(text, tmp_path).selectors
    assert list(selectors) == ["first", "any", "more"]
    first, more = selectors["first"], selectors["more"]
    assert (first.strategy, first.targets, first.spillover) == (SelectorStrategy.PIN, ("one", "p/m", "m"), 1)
    assert (first.name, first.description, first.unlisted, first.metadata) == (None, None, False, {})
    assert selectors["any"].strategy is SelectorStrategy.WARM
    assert (more.strategy, more.targets, more.spillover) == (SelectorStrategy.SPILLOVER, ("a", "b", "p/m"), 3)
    assert (more.name, more.description, more.unlisted) == ("More", "of s3cret", True)
    assert more.metadata == {"kind": ["s3cret", 1]}


def test_a_selector_may_have_the_bare_name_of_a_peers_model(tmp_path: Path) -> None:
    text = f"{MODELS}{PEER}[selectors.m]\nstrategy = 'pin'\ntargets = ['p/m']\n"
    assert load(text, tmp_path).selectors["m"].targets == ("p/m",)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", '6:12 selectors.s: strategy is missing: expected "pin", "warm" or "spillover"'),
        ("strategy = 'best'\ntargets = ['a']", '7:12 selectors.s.strategy: expected "pin", "warm" or "spillover", got'),
        ("strategy = 'pin'", "6:12 selectors.s: targets is missing: expected a list of at least one name of a model"),
        ("strategy = 'pin'\ntargets = []", "8:11 selectors.s.targets: expected a list of at least one name of a model"),
        ("strategy = 'pin'\ntargets = 'a'", "8:11 selectors.s.targets: expected a list of at least one name"),
        ("strategy = 'pin'\ntargets = ['a', '']", "8:17 selectors.s.targets[1]: the name is empty"),
        ("strategy = 'pin'\ntargets = ['a', 'onne']", '8:17 selectors.s.targets[1]: there is no model "onne": did you'),
        ("strategy = 'pin'\ntargets = ['s']", '8:12 selectors.s.targets[0]: "s" is a selector: a selector leads to'),
        ("strategy = 'pin'\ntargets = ['a']\nspillover = 0", "9:13 selectors.s.spillover: expected a whole number"),
        ("strategy = 'pin'\ntargets = ['a']\nsettings = {}", "9:1 selectors.s.settings: unknown key"),
        ("strategy = 'pin'\ntargets = ['a']\nname = '${PORT}'", "9:8 selectors.s.name: ${PORT} is unknown"),
        ("strategy = 'pin'\ntargets = ['a']\nmetadata.x = '${m}'", "9:1 selectors.s.metadata: ${m} is unknown"),
        (
            "strategy = 'warm'\ntargets = ['a', 'p/m']",
            '8:17 selectors.s.targets[1]: "p/m" is a peer\'s: whether it is loaded there, which is what warm goes by,',
        ),
        ("strategy = 'warm'\ntargets = ['m']", '8:12 selectors.s.targets[0]: "m" is a peer\'s'),
        (
            "strategy = 'spillover'\ntargets = ['a', 'one']",
            '8:17 selectors.s.targets[1]: "one" is the same model as "a": with spillover each is another one',
        ),
        (
            "strategy = 'spillover'\ntargets = ['a', 'p/m', 'p/m']",
            '8:24 selectors.s.targets[2]: "p/m" is the same model as "p/m"',
        ),
        (
            "strategy = 'spillover'\ntargets = ['p/m', 'm']",
            '8:19 selectors.s.targets[1]: "m" is the same model as "p/m"',
        ),
        (
            "strategy = 'spillover'\ntargets = ['a', 'b']",
            '8:17 selectors.s.targets[1]: "b" and "a" cannot be loaded together, as spillover asks of its targets',
        ),
    ],
)
def test_a_selector_is_refused_for(lines: str, expected: str, tmp_path: Path) -> None:
    assert one_mistake(f"{MODELS}[selectors.s]\n{lines}\n{PEER}", tmp_path).startswith(expected)


@pytest.mark.parametrize(
    ("residency", "fits"),
    [
        (TOGETHER, True),
        ("[groups.g]\nmembers = ['a', 'b']\n", False),
        ("[groups.g]\nmembers = ['a']\npersistent = true\nexclusive = false\n", True),
        ("[groups.g]\nmembers = ['a']\nexclusive = false\n", False),
        ("[matrix]\nsets.x = 'a & b'\n", True),
        ("[matrix]\nsets.x = 'a | b'\n", False),
    ],
)
def test_targets_of_spillover_have_to_fit_together(residency: str, *, fits: bool, tmp_path: Path) -> None:
    text = f"{MODELS}{residency}[selectors.s]\nstrategy = 'spillover'\ntargets = ['one', 'b']\n"
    if fits:
        assert load(text, tmp_path).selectors["s"].targets == ("one", "b")
    else:
        assert 'selectors.s.targets[1]: "b" and "a" cannot be loaded together' in one_mistake(text, tmp_path)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("a", 'a name of the model "a"'),
        ("one", 'a name of the model "a"'),
        ("v", 'a name of the model "b"'),
        ("p/m", 'the name of a model of "p"'),
    ],
)
def test_a_selector_takes_no_name_that_is_taken(name: str, owner: str, tmp_path: Path) -> None:
    text = f"{MODELS}filters.set_params_by_id.v.n = 1\n{PEER}[selectors.'{name}']\nstrategy = 'pin'\ntargets = ['b']\n"
    shown = f'"{name}"' if "/" in name else name
    assert one_mistake(text, tmp_path) == (f'10:12 selectors.{shown}: "{name}" is {owner} already: choose another name')


# --- profiles


def test_a_profile_leads_names_elsewhere_or_nowhere(tmp_path: Path) -> None:
    text = f"""
        {MODELS}{PEER}
        [selectors.s]
        strategy = "pin"
        targets = ["a"]
        [profiles.night]
        description = "without ${{env.KEY}}"
        [profiles.night.pins]
        b = "a"
        "new name" = "one"
        s = "p/m"
        m = "s"
        off = ""
    """
    night = load(text, tmp_path).profiles["night"]
    assert night.description == "without s3cret"
    assert night.pins == {"b": "a", "new name": "one", "s": "p/m", "m": "s", "off": None}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", '6:11 profiles.p: pins is missing: expected a table of at least one name = "where it leads"'),
        ("pins = {}", "7:8 profiles.p.pins: expected a table of at least one name"),
        ("pins = ['a']", "7:8 profiles.p.pins: expected a table of at least one name"),
        ("pins.x = 1", '7:10 profiles.p.pins.x: expected the name of a model, or "" for none, got the number 1'),
        ("pins.x = 'onne'", '7:10 profiles.p.pins.x: there is no model "onne": did you mean "one"?'),
        ("pins.'' = 'a'", '7:6 profiles.p.pins."": the name is empty'),
        ("pins.x = 'a'\npins.y = 'x'", '8:10 profiles.p.pins.y: there is no model "x"'),
        (
            "pins.'p/m' = 'a'",
            '7:6 profiles.p.pins."p/m": "p/m" is a model of the peer "p", which no pin can stand before',
        ),
        ("pins.x = 'a'\ndescription = '${m}'", "8:15 profiles.p.description: ${m} is unknown"),
        ("pins.x = 'a'\npin.x = 'a'", "8:1 profiles.p.pin: unknown key: did you mean pins?"),
    ],
)
def test_a_profile_is_refused_for(lines: str, expected: str, tmp_path: Path) -> None:
    assert expected in mistakes(f"{MODELS}[profiles.p]\n{lines}\n{PEER}", tmp_path)[0]


# --- peers


def test_a_peer_has_its_defaults(tmp_path: Path) -> None:
    peer = load(f"{MODELS}{PEER}", tmp_path).peers["p"]
    assert (peer.url, peer.models, peer.api_key, peer.concurrency) == ("http://127.0.0.1:9", ("m",), None, 0)
    assert (peer.timeouts.connect_s, peer.timeouts.response_header_s, peer.timeouts.idle_s) == (30, 60, 90)
    assert (peer.filters.strip, peer.filters.set, peer.filters.set_by_name) == ((), {}, {})


def test_a_peer_has_its_keys(tmp_path: Path) -> None:
    text = f"""
        {MODELS}
        [peers.far]
        proxy = "https://${{env.KEY}}.example/base/"
        models = ["x/y", "z", "z"]
        api_key = "k-${{env.KEY}}"
        concurrency = 4
        timeouts = {{ connect = 0, response_header = 0, idle = "2m" }}
        [peers.far.filters]
        strip_params = "a, b.c"
        set_params = {{ "d.e" = "${{env.KEY}}" }}
        set_params_by_id."far/z".f = 1
    """
    peer = load(text, tmp_path).peers["far"]
    assert (peer.url, peer.models, peer.api_key) == ("https://s3cret.example/base", ("x/y", "z"), "k-s3cret")
    assert peer.concurrency == 4
    assert (peer.timeouts.connect_s, peer.timeouts.response_header_s, peer.timeouts.idle_s) == (inf, inf, 120)
    assert (peer.filters.strip, peer.filters.set) == (("a", "b.c"), {"d.e": "s3cret"})
    assert peer.filters.set_by_name == {"far/z": {"f": 1}}


def test_the_key_of_a_peer_is_not_shown(tmp_path: Path) -> None:
    assert "hidden" not in repr(load(f"{MODELS}{PEER}api_key = 'hidden'\n", tmp_path))


def test_a_bare_name_that_two_peers_have_leads_to_neither(tmp_path: Path) -> None:
    other = PEER.replace("[peers.p]", "[peers.q]")
    selector = "[selectors.s]\nstrategy = 'pin'\ntargets = ['m']\n"
    assert one_mistake(f"{MODELS}{PEER}{other}{selector}", tmp_path).startswith(
        '14:12 selectors.s.targets[0]: there is no model "m"'
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("models = ['m']", "6:8 peers.p: proxy is missing: expected a URL, a string"),
        ("proxy = 'http://x'", "6:8 peers.p: models is missing: expected a list of at least one model of the peer"),
        ("proxy = ''\nmodels = ['m']", '7:9 peers.p.proxy: "" is not a URL'),
        ("proxy = 'ftp://x'\nmodels = ['m']", "7:9 peers.p.proxy: expected a URL such as"),
        ("proxy = 'http://u:p@x'\nmodels = ['m']", '7:9 peers.p.proxy: "http://u:p@x" has more than a scheme'),
        ("proxy = 'http://x:${PORT}'\nmodels = ['m']", "7:9 peers.p.proxy: ${PORT} is unknown, known here are ${env."),
        ("proxy = 'http://x:${env.TWO}'\nmodels = ['m']", '7:9 peers.p.proxy: "http://x:two words" is not a URL'),
        ("proxy = 'http://x'\nmodels = []", "8:10 peers.p.models: expected a list of at least one model of the peer"),
        ("proxy = 'http://x'\nmodels = ['']", "8:11 peers.p.models[0]: the name is empty"),
        ("proxy = 'http://x'\nmodels = ['${m}']", "8:11 peers.p.models[0]: ${m} is unknown here"),
        ("proxy = 'http://x'\nmodels = ['m']\napi_key = 'a b'", "9:11 peers.p.api_key: a key is at least one visible"),
        ("proxy = 'http://x'\nmodels = ['m']\napi_key = '${env.TWO}'", "9:11 peers.p.api_key: a key is at least one"),
        ("proxy = 'http://x'\nmodels = ['m']\napi_key = '${env.NO}'", "9:11 peers.p.api_key: ${env.NO}: the environ"),
        ("proxy = 'http://x'\nmodels = ['m']\nconcurrency = -1", "9:15 peers.p.concurrency: expected a whole number"),
        ("proxy = 'http://x'\nmodels = ['m']\ntimeouts.idle = -1", "9:17 peers.p.timeouts.idle: expected a duration"),
        ("proxy = 'http://x'\nmodels = ['m']\nuse_model_name = 'x'", "9:1 peers.p.use_model_name: unknown key"),
        (
            "proxy = 'http://x'\nmodels = ['m']\nfilters.set_params.model = 'x'",
            "9:20 peers.p.filters.set_params.model:",
        ),
    ],
)
def test_a_peer_is_refused_for(lines: str, expected: str, tmp_path: Path) -> None:
    assert mistakes(f"{MODELS}[peers.p]\n{lines}\n", tmp_path)[0].startswith(expected)


def test_a_peers_model_has_a_name_of_its_own(tmp_path: Path) -> None:
    ours = f"[models.'p/m']\n{CMD}{PEER}"
    assert one_mistake(ours, tmp_path) == (
        '3:8 peers.p: its model "m" is asked for as "p/m", a name of the model "p/m"'
    )
    theirs = f"{MODELS}{PEER}[peers.'p/x']\nproxy = 'http://x'\nmodels = ['m']\n"
    two = theirs.replace("models = ['m']\n[", "models = ['x/m']\n[")
    assert load(theirs, tmp_path).peers.keys() == {"p", "p/x"}
    assert one_mistake(two, tmp_path) == ('9:8 peers."p/x": its model "m" is asked for as "p/x/m", as one of "p" is')
