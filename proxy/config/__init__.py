"""config.toml: read whole, every mistake at once, into frozen values.

`schema` says what can be written, `kinds` how; `reading` takes the values one by one, `contradictions` looks between
them; `loading` puts it together; `configuration` is what the rest of the proxy sees.
"""

from .configuration import Config, ModelConfig
from .loading import effective, load_config, load_written
from .mistakes import ConfigError, Mistake

__all__ = ["Config", "ConfigError", "Mistake", "ModelConfig", "effective", "load_config", "load_written"]
