"""The settings of a server, from flags, the environment and a file. One order for all of them.

A flag wins over an environment variable, that over the file, that over the default. Whatever is
unknown or out of range is refused, whatever its source. It only knows names and values.

    settings = read_settings({"port": 8080}, Path("serve.toml"))
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from thought1.serving.limits import Limits
from thought1.types import Thought1Error

PREFIX = "T1_SERVE_"
"""Of environment variables: T1_SERVE_PORT is `port`. A list is written with commas."""
CONFIG = f"{PREFIX}CONFIG"
"""Names the file where no flag does."""

Names = Annotated[list[str], NoDecode]
Positive = Annotated[int, Field(ge=1)]
_USUAL = Limits()


class ServeSettings(BaseSettings):
    """All settings of `t1 serve`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", allow_inf_nan=False, validate_default=False
    )

    indexes: Names = Field(default_factory=list)
    """Folders, each as DIR or NAME=DIR."""
    model: str | None = None
    """In place of the one that an index remembers."""
    trust_remote_code: bool = False
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    tokens: Path | None = None
    allow_host: Names = Field(default_factory=list)
    no_token: bool = False
    site: Path | None = None
    """A folder of pages to serve below /docs/."""
    max_batch: Positive = 32
    timeout: Annotated[float, Field(ge=0.1, le=86_400)] = _USUAL.seconds
    max_requests: Annotated[int, Field(ge=1, le=4096)] = _USUAL.requests
    max_writes: Annotated[int, Field(ge=1, le=1024)] = _USUAL.writes
    max_think: Annotated[int, Field(ge=0)] = _USUAL.think
    max_body: Positive = _USUAL.body
    max_texts: Positive = _USUAL.texts
    max_documents: Positive = _USUAL.documents
    max_characters: Positive = _USUAL.characters
    max_k: Positive = _USUAL.k
    max_offset: Annotated[int, Field(ge=0)] = _USUAL.offset
    max_conditions: Positive = _USUAL.conditions
    max_samples: Positive = _USUAL.samples
    max_evidence: Annotated[int, Field(ge=0)] = _USUAL.evidence
    max_rounds: Positive = _USUAL.rounds
    max_rerank: Positive = _USUAL.rerank
    rerank: Names = Field(default_factory=list)
    """Rerankers that requests may name, each as RERANKER or NAME=RERANKER."""
    thinker: Names = Field(default_factory=list)
    """Chat models that requests may let write the thoughts, likewise."""
    thought_cache: bool = False
    """Keep thoughts in the user's cache folder, and take those that are there."""
    log_requests: bool = False
    log_format: Literal["text", "json"] = "text"

    @field_validator("indexes", "allow_host", "rerank", "thinker", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """The environment has one text, with commas."""
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @property
    def limits(self) -> Limits:
        """As the server has them."""
        return Limits(
            body=self.max_body,
            texts=self.max_texts,
            documents=self.max_documents,
            characters=self.max_characters,
            k=self.max_k,
            offset=self.max_offset,
            conditions=self.max_conditions,
            think=self.max_think,
            samples=self.max_samples,
            evidence=self.max_evidence,
            rounds=self.max_rounds,
            rerank=self.max_rerank,
            requests=self.max_requests,
            writes=self.max_writes,
            seconds=self.timeout,
        )


def read_settings(flags: Mapping[str, Any], file: Path | None = None) -> ServeSettings:
    """The settings of all sources.

    Args:
        flags: those that were given, by name.
        file: TOML; None takes the one that the environment names, if it names one.

    Raises:
        Thought1Error: a name is unknown or a value out of range; the message says where.
    """
    named = os.environ.get(CONFIG)
    if file is None and named:
        file = Path(named)
    content = {} if file is None else _content(file)
    _refuse_unknown_variables()

    class Sources(ServeSettings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, content)

    try:
        return Sources(**flags)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        place = _place(str(first["loc"][0]), flags, file)
        raise Thought1Error(f"{place}: {name}: {first['msg']}") from None


def _content(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Thought1Error(f"the settings {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Thought1Error(f"{file} is no TOML: {error}") from error
    unknown = sorted(content.keys() - ServeSettings.model_fields.keys())
    if unknown:
        known = ", ".join(ServeSettings.model_fields)
        raise Thought1Error(f"{file}: there is no setting {unknown[0]!r}; there are: {known}")
    for name in ("indexes", "tokens", "site", "model"):  # a service starts in no certain folder
        if name in content:
            content[name] = _beside(file, content[name], name)
    return content


def _beside(file: Path, value: Any, setting: str) -> Any:
    """Paths of a file are relative to its folder."""
    if isinstance(value, list):
        return [_beside(file, one, setting) for one in value]
    if not isinstance(value, str):
        return value
    name, sign, path = value.rpartition("=") if setting == "indexes" else ("", "", value)
    beside = file.parent / path
    if setting == "model" and not beside.exists():
        return value  # a name of the hub
    return f"{name}{sign}{beside}"


def _refuse_unknown_variables() -> None:
    known = {f"{PREFIX}{name}".upper() for name in ServeSettings.model_fields} | {CONFIG}
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            raise Thought1Error(
                f"the environment variable {variable} is no setting of t1 serve: unset it"
            )


def _place(name: str, flags: Mapping[str, Any], file: Path | None) -> str:
    """Where the value that counts was given."""
    if name in flags:
        return f"--{name.replace('_', '-')}"
    if f"{PREFIX}{name}".upper() in {variable.upper() for variable in os.environ}:
        return f"{PREFIX}{name}".upper()
    return str(file)
