"""Which model of a configuration plays which role of a workload."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.config import Config
from states.cast import Workload
from states.settings import ModelId


def cast_of(workload: Workload, config: Config, chosen: Mapping[str, str]) -> dict[str, ModelId]:
    """Give every role a model: the chosen one; else the one of that name or alias; else by priority.

    The roles that are left, the most urgent first, are given the models that are left, the highest priority first and
    in file order. A workload without roles of its own has one for each model.

    Args:
        workload: whose roles are given away.
        config: whose models play.
        chosen: from roles to names of models.

    Raises:
        ValueError: in words for whoever chose, or whose configuration has too few models.
    """
    roles = workload.roles or tuple(config.models)
    cast = {role: _chosen(role, name, roles, config) for role, name in chosen.items()}
    for role in roles:
        model = config.resolve(role)
        if role not in cast and model is not None and model not in cast.values():
            cast[role] = model
    left = [model for model in config.models if model not in cast.values()]
    left.sort(key=lambda model: -config.settings.models[model].priority)
    open_roles = [role for role in roles if role not in cast]
    if len(open_roles) > len(left):  # who was chosen for one role may play another
        left += [model for model in config.models if model in [cast[role] for role in chosen]]
    if len(open_roles) > len(left):
        models = f"{len(config.models)} model{'s' if len(config.models) > 1 else ''}"
        raise ValueError(
            f"the workload {workload.name} has the roles {', '.join(roles)}, and {config.path} only {models}: "
            f"let one play several roles, such as --map {open_roles[-1]}={next(iter(config.models))}"
        )
    cast.update(zip(open_roles, left, strict=False))
    return {role: cast[role] for role in roles}


def _chosen(role: str, name: str, roles: tuple[str, ...], config: Config) -> ModelId:
    if role not in roles:
        raise ValueError(f"there is no role {role!r}: expected one of {', '.join(roles)}")
    model = config.resolve(name)
    if model is None:
        raise ValueError(f"there is no model {name!r}: expected one of {', '.join(config.models)}")
    return model
