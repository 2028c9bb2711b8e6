"""From tables without mistakes to a `Config`: placeholders that are known now are filled in, names are resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import cast

from states.matrix import Matrix, read_sets
from states.settings import GroupSettings, ModelId, ModelSettings, Settings, Strategy

from .configuration import Config, ModelConfig
from .placeholders import fill, from_environment
from .routing import (
    Capabilities,
    Filters,
    Json,
    PeerConfig,
    ProfileConfig,
    SelectorConfig,
    SelectorStrategy,
    Timeouts,
)
from .schema import (
    DEFAULT_PROXY,
    FiltersTable,
    MatrixTable,
    ModelTable,
    PeerTable,
    SelectorTable,
    Tables,
    TimeoutsTable,
)

Environment = Mapping[str, str]


def build(path: Path, tables: Tables, environment: Environment) -> Config:
    """Return what a file says, for the rest of the proxy."""
    models = {ModelId(name): _model(ModelId(name), table, environment) for name, table in tables.models.items()}
    named = {name: model.id for model in models.values() for name in (*model.aliases, *model.filters.set_by_name)}
    preload = [ModelId(name) if name in models else named[name] for name in tables.hooks.on_startup.preload]
    server = tables.server
    return Config(
        path=path,
        listen=server.listen,
        start_port=server.start_port,
        shutdown_timeout_s=server.shutdown_timeout,
        send_timeout_s=server.send_timeout or inf,
        max_body_bytes=server.max_body,
        api_keys=tuple(_text(key, environment) for key in server.api_keys),
        log_level=server.log_level,
        log_format=server.log_format,
        preload=tuple(dict.fromkeys(preload)),
        models=models,
        peers={name: _peer(name, table, environment) for name, table in tables.peers.items()},
        selectors={name: _selector(name, table, environment) for name, table in tables.selectors.items()},
        profiles={
            name: ProfileConfig(
                id=name,
                description=_said(table.description, environment),
                pins={pin: target or None for pin, target in table.pins.items()},
            )
            for name, table in tables.profiles.items()
        },
        settings=core_settings(tables),
        tables=tables,
    )


def matrix_of(table: MatrixTable, models: Mapping[str, object]) -> Matrix:
    """Return what `[matrix]` says.

    Args:
        table: its names were found to be those of models.
        models: by id.

    Raises:
        SetError: a set cannot be understood.
    """

    def meant(name: str) -> ModelId | None:
        model = table.vars.get(name, name)
        return ModelId(model) if model in models else None

    costs = {model: cost for name, cost in table.evict_costs.items() if (model := meant(name)) is not None}
    return Matrix(sets=read_sets(table.sets, meant), costs=costs)


def texts_in(value: object) -> Iterator[str]:
    """Yield every string in a value, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def _model(model: ModelId, table: ModelTable, environment: Environment) -> ModelConfig:
    proxy = DEFAULT_PROXY if table.proxy is None else table.proxy
    texts = (*table.cmd, *(table.cmd_stop or ()), proxy, table.check_endpoint, *table.env.values(), table.cwd or "")
    substitutions = {"MODEL_ID": model, **from_environment(environment, *texts)}
    able = table.capabilities
    return ModelConfig(
        id=model,
        cmd=table.cmd,
        cmd_stop=table.cmd_stop,
        proxy=proxy,
        check_endpoint=None if table.check_endpoint == "none" else fill(table.check_endpoint, substitutions),
        load_timeout_s=table.load_timeout,
        env=table.env,
        cwd=None if table.cwd is None else fill(table.cwd, substitutions),
        aliases=table.aliases,
        name=_said(table.name, environment),
        description=_said(table.description, environment),
        unlisted=table.unlisted,
        use_model_name=_said(table.use_model_name, environment),
        filters=_filters(table.filters, environment),
        timeouts=_timeouts(table.timeouts),
        capabilities=Capabilities(
            inputs=able.inputs, outputs=able.outputs, tools=able.tools, reranker=able.reranker, context=able.context
        ),
        metadata=_values(table.metadata, environment),
        substitutions=substitutions,
    )


def _filters(table: FiltersTable, environment: Environment) -> Filters:
    by_name = {name: _values(each, environment) for name, each in table.set_params_by_id.items()}
    return Filters(strip=table.strip_params, set=_values(table.set_params, environment), set_by_name=by_name)


def _timeouts(table: TimeoutsTable) -> Timeouts:
    return Timeouts(
        connect_s=table.connect or inf, response_header_s=table.response_header or inf, idle_s=table.idle or inf
    )


def _peer(name: str, table: PeerTable, environment: Environment) -> PeerConfig:
    return PeerConfig(
        id=name,
        url=_text(table.proxy, environment).rstrip("/"),
        models=tuple(dict.fromkeys(table.models)),
        api_key=None if table.api_key is None else _text(table.api_key, environment),
        filters=_filters(table.filters, environment),
        timeouts=_timeouts(table.timeouts),
        concurrency=table.concurrency,
    )


def _selector(name: str, table: SelectorTable, environment: Environment) -> SelectorConfig:
    return SelectorConfig(
        id=name,
        strategy=SelectorStrategy(table.strategy),
        targets=table.targets,
        spillover=table.spillover,
        name=_said(table.name, environment),
        description=_said(table.description, environment),
        unlisted=table.unlisted,
        metadata=_values(table.metadata, environment),
    )


def core_settings(tables: Tables) -> Settings:
    """Return what the core has to know. Raises SetError: a set of the matrix cannot be understood."""
    return Settings(
        models={ModelId(name): _scheduling(table) for name, table in tables.models.items()},
        groups={
            name: GroupSettings(
                members=tuple(ModelId(member) for member in group.members),
                swap=group.swap,
                exclusive=group.exclusive,
                persistent=group.persistent,
            )
            for name, group in tables.groups.items()
        },
        strategy=Strategy(tables.scheduler.strategy),
        matrix=None if tables.matrix is None else matrix_of(tables.matrix, tables.models),
    )


def _scheduling(table: ModelTable) -> ModelSettings:
    return ModelSettings(
        priority=table.priority,
        unload_delay_s=table.unload_delay,
        min_loaded_s=table.min_loaded,
        max_wait_s=table.max_wait,
        concurrency=table.concurrency,
        queue_limit=table.queue_limit,
        ttl_s=table.ttl,
        unload_timeout_s=table.unload_timeout,
    )


# What the environment is asked for


def _text(template: str, environment: Environment) -> str:
    return fill(template, from_environment(environment, template))


def _said(template: str | None, environment: Environment) -> str | None:
    return None if template is None else _text(template, environment)


def _values(values: Mapping[str, object], environment: Environment) -> dict[str, Json]:
    return {key: _filled(value, environment) for key, value in values.items()}


def _filled(value: object, environment: Environment) -> Json:
    if isinstance(value, str):
        return _text(value, environment)
    if isinstance(value, list):
        return [_filled(each, environment) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, environment) for key, each in value.items()}
    return cast("Json", value)
