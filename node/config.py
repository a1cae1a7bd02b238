"""The configuration: one TOML file, every key overridable by environment, all mistakes reported together.

`conf/node.toml` documents every key; a test holds that file to this one. Environment
names are `PREPNODE_<SECTION>__<KEY>`, for example `PREPNODE_NODE__PORT=104`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.networks import IPvAnyNetwork
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from node import shipped_profiles
from node.errors import ConfigError
from node.profile_keys import Profile, Section

AETitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def _fillable(url: str) -> str:
    try:
        url.format(data_dir="")
    except (KeyError, IndexError, ValueError):
        raise ValueError("only {data_dir} is filled in; write any other brace twice") from None
    return url


DatabaseURL = Annotated[str, AfterValidator(_fillable)]


class Node(Section):
    """Who the node is and where it keeps its data."""

    ae_title: AETitle = "PREPNODE"
    host: str = "0.0.0.0"  # noqa: S104 - a DICOM node listens on the hospital network
    port: Port = 11112
    data_dir: Path = Path("/var/lib/prepnode")
    listeners: Annotated[int, Field(ge=1, le=64)] = 1


class Peer(Section):
    """One sender that may associate; with any peer listed, all others are refused."""

    calling_aet: AETitle
    hosts: tuple[IPvAnyNetwork, ...] = ()
    certificate_names: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    max_associations: Annotated[int, Field(ge=1)] | None = None
    max_instance_mb: Annotated[int, Field(ge=1)] | None = None
    max_mb_per_s: Annotated[float, Field(gt=0)] | None = None
    max_instances_per_s: Annotated[float, Field(gt=0)] | None = None
    quiet_s: Annotated[float, Field(gt=0)] | None = None
    report_host: str = ""
    report_port: Annotated[int, Field(ge=1, le=65535)] | None = None


class Listener(Section):
    """How the C-STORE SCP behaves."""

    max_associations: Annotated[int, Field(ge=1)] = 100
    max_pdu: Annotated[int, Field(ge=4096, le=4194304)] = 131072
    max_connections_per_host: Annotated[int, Field(ge=1)] = 128
    require_called_aet: bool = False
    called_aets: tuple[AETitle, ...] = ()
    durability: Literal["fsync", "flush"] = "fsync"
    acse_timeout_s: Annotated[float, Field(gt=0)] = 10
    network_timeout_s: Annotated[float, Field(gt=0)] = 60
    max_instance_mb: Annotated[int, Field(ge=1)] = 4096
    users_file: str = ""
    require_user_identity: bool = False
    storage_commitment: bool = True
    report_max_age_h: Annotated[float, Field(gt=0)] = 168
    peer: tuple[Peer, ...] = ()


class Tls(Section):
    """DICOM over TLS (PS3.15 B.12, BCP 195)."""

    enabled: bool = False
    cert: str = ""
    key: str = ""
    ca: str = ""
    crl: str = ""
    require_client_cert: bool = True


class Registry(Section):
    """Where the registry is."""

    url: DatabaseURL = "sqlite:///{data_dir}/registry.db"


class Jobs(Section):
    """What runs the work, and the limits of one series."""

    url: DatabaseURL = "sqlite:///{data_dir}/jobs.db"
    workers: Annotated[int, Field(ge=1, le=256)] = 2
    timeout_s: Annotated[float, Field(gt=0)] = 900
    memory_mb: Annotated[int, Field(ge=256)] = 8192


class CompletionKeys(Section):
    """When a series is taken as complete."""

    quiet_s: Annotated[float, Field(gt=0)] = 10
    settle_s: Annotated[float, Field(gt=0)] = 1
    cap_s: Annotated[float, Field(gt=0)] = 3600


class Web(Section):
    """The HTTP side."""

    host: str = "127.0.0.1"
    port: Port = 8112
    token_file: str = ""


class Retention(Section):
    """What is kept for how long, and how much space stays free."""

    spool_days: Annotated[int, Field(ge=0)] = 30
    outputs_days: Annotated[int, Field(ge=0)] = 0
    min_free_gb: Annotated[float, Field(ge=0)] = 5


class Destination(Section):
    """Where products go. Which further keys are needed depends on `kind`."""

    name: Name
    kind: str
    path: Path | None = None
    host: str = ""
    port: Port = 0
    called_aet: AETitle | None = None
    calling_aet: AETitle | None = None
    url: str = ""
    max_age_h: Annotated[float, Field(gt=0)] = 168
    concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    timeout_s: Annotated[float, Field(gt=0)] = 60
    options: dict[str, Any] = Field(default_factory=dict)


class Route(Section):
    """Which series get which profile and go where; the first match wins unless it says `continue`."""

    name: Name
    match: dict[str, Any] = Field(default_factory=dict)
    profile: str = "default"
    destinations: tuple[str, ...] = ()
    send: tuple[Literal["outputs", "report", "originals"], ...] = ("outputs", "report")
    continue_: bool = Field(default=False, alias="continue")


class Config(BaseSettings):
    """The whole configuration, valid as far as it can be checked without starting anything."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="PREPNODE_", env_nested_delimiter="__"
    )

    node: Node = Node()
    listener: Listener = Listener()
    tls: Tls = Tls()
    registry: Registry = Registry()
    jobs: Jobs = Jobs()
    completion: CompletionKeys = CompletionKeys()
    web: Web = Web()
    retention: Retention = Retention()
    destination: tuple[Destination, ...] = ()
    route: tuple[Route, ...] = ()
    profile: dict[str, Profile] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file; no other source counts."""
        return env_settings, init_settings

    @model_validator(mode="wrap")
    @classmethod
    def _report_all_mistakes(cls, tables: Any, validate: ModelWrapValidatorHandler[Config]) -> Config:
        """Check each key, and what keys say of one another, so that neither hides the other."""
        mistakes: list[InitErrorDetails] = []
        config = None
        try:
            config = validate(tables)
            tables = config.model_dump(by_alias=True)
        except ValidationError as error:
            mistakes += [_mistake(item["type"], item["msg"], item["loc"]) for item in error.errors()]
        mistakes += [_mistake("between_keys", message) for message in _mistakes_between_keys(tables)]
        if mistakes or config is None:
            raise ValidationError.from_exception_data(cls.__name__, mistakes)
        return config

    @property
    def profiles(self) -> dict[str, Profile]:
        """All profiles by name: those that come with the node, and those of the file, which win."""
        shipped = {name: Profile(**keys) for name, keys in shipped_profiles.tables().items()}
        return {**shipped, **self.profile}

    @property
    def registry_url(self) -> str:
        """The registry's database URL with `{data_dir}` filled in."""
        return self.registry.url.format(data_dir=self.node.data_dir)

    @property
    def jobs_url(self) -> str:
        """The job engine's database URL with `{data_dir}` filled in."""
        return self.jobs.url.format(data_dir=self.node.data_dir)

    @property
    def spool_dir(self) -> Path:
        """Where received bytes are kept."""
        return self.node.data_dir / "spool"

    @property
    def commitment_dir(self) -> Path:
        """Where listener and worker hand storage commitments to one another."""
        return self.spool_dir / "commitment"

    @property
    def outputs_dir(self) -> Path:
        """Where results are written."""
        return self.node.data_dir / "outputs"


def _mistake(kind: str, message: str, loc: tuple[int | str, ...] = ()) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError(kind, "{message}", {"message": message}), loc=loc, input=None
    )


def _mistakes_between_keys(tables: Any) -> Iterator[str]:
    """Look for names that nothing bears, and for keys that another key asks for.

    `tables` may hold other mistakes as well, which the check of each key tells.
    """
    destinations = _tables_in(tables, "destination")
    names = [str(table.get("name")) for table in destinations]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            yield f"destination {name!r} is defined twice"
    for table in destinations:
        yield from _mistakes_of_kind(table)
    yield from _mistakes_of_peers(tables.get("listener"))
    profiles = tables.get("profile")
    known = {"default", *shipped_profiles.tables(), *(profiles if isinstance(profiles, dict) else ())}
    for route in _tables_in(tables, "route"):
        label, wanted = f"route {route.get('name')!r}", route.get("destinations", ())
        for name in wanted if isinstance(wanted, (list, tuple)) else ():
            if name not in names:
                there_are = ", ".join(sorted(set(names))) or "none"
                yield f"{label}: destination {name!r} is not defined; there are: {there_are}"
        yield from _mistakes_of_secrecy(label, route, destinations, profiles)
        profile = route.get("profile", "default")
        if isinstance(profile, str) and profile not in known:
            yield f"{label}: profile {profile!r} is not defined; there are: {', '.join(sorted(known))}"
    yield from _mistakes_of_access(tables)


def _mistakes_of_secrecy(label: str, route: Any, destinations: Any, profiles: Any) -> Iterator[str]:
    """Look whether a route with de-identified images would send beside them what holds the identity."""
    keys = profiles.get(route.get("profile")) if isinstance(profiles, dict) else None
    keys = keys.model_dump() if isinstance(keys, Profile) else keys
    if not isinstance(keys, dict) or not _is_true(keys.get("deidentify")):
        return
    send = route.get("send", ("outputs", "report"))
    if isinstance(send, (list, tuple)) and list(send) != ["outputs"]:
        yield f'{label}: its profile de-identifies; set send = ["outputs"], since all else holds names'
    named = route.get("destinations", ())
    for table in destinations if isinstance(named, (list, tuple)) else ():
        if table.get("name") in named and table.get("kind") != "dicom":
            yield (
                f"{label}: its profile de-identifies, and destination {table.get('name')!r} is not of kind "
                '"dicom": other files hold the UIDs of the source'
            )


def _mistakes_of_access(tables: Any) -> Iterator[str]:
    tls, listener = tables.get("tls", {}), tables.get("listener", {})
    tls, listener = (each if isinstance(each, dict) else {} for each in (tls, listener))
    is_on = _is_true(tls.get("enabled"))
    if is_on and not (tls.get("cert") and tls.get("key")):
        yield "tls: enabled, but `cert` or `key` is empty"
    for peer in _tables_in(listener, "peer"):
        if peer.get("certificate_names") and not (is_on and tls.get("ca")):
            yield (
                f"listener.peer {peer.get('calling_aet')!r}: `certificate_names` are read from the "
                "certificate of a TLS client; set tls.enabled and tls.ca"
            )
    if _is_true(listener.get("require_user_identity")) and not listener.get("users_file"):
        yield "listener.require_user_identity: set, but there is no `users_file` to look users up in"


def _mistakes_of_peers(listener: Any) -> Iterator[str]:
    for peer in _tables_in(listener, "peer") if isinstance(listener, dict) else ():
        if peer.get("report_host") and not peer.get("report_port"):
            yield f"listener.peer {peer.get('calling_aet')!r}: `report_host` needs `report_port`"


def _mistakes_of_kind(destination: dict[str, Any]) -> Iterator[str]:
    label, kind = f"destination {destination.get('name')!r}", destination.get("kind")
    if kind == "folder" and destination.get("path") is None:
        yield f"{label}: kind 'folder' needs `path`"
    if kind == "dicom" and not all(destination.get(key) for key in ("host", "port", "called_aet")):
        yield f"{label}: kind 'dicom' needs `host`, `port` and `called_aet`"
    if kind in ("stow", "s3", "webhook"):
        yield f"{label}: kind {kind!r} is not in this version"


def _is_true(value: Any) -> bool:
    """Read a truth value that may still be the text of an environment variable."""
    try:
        return TypeAdapter(bool).validate_python(value)
    except ValidationError:
        return False


def _tables_in(tables: Any, key: str) -> list[dict[str, Any]]:
    found = tables.get(key, ())
    return [table for table in found if isinstance(table, dict)] if isinstance(found, (list, tuple)) else []


def load(path: Path | None = None, overrides: dict[str, Any] | None = None) -> Config:
    """Read the configuration from a file (None: defaults and environment alone).

    `overrides` are tables laid over the file's, as {"node": {"port": 0}}; the environment wins over both.

    Raises:
        ConfigError: with every mistake found, each naming its key.
    """
    tables: dict[str, Any] = {}
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError([f"{path}: no such file; give one with -c FILE"]) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: not valid TOML: {error}"]) from None
        except OSError as error:
            raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    for section, values in (overrides or {}).items():
        if isinstance(values, dict) and isinstance(tables.get(section), dict):
            tables[section] = {**tables[section], **values}
        else:
            tables[section] = values
    try:
        return Config(**tables)
    except ValidationError as error:
        where = str(path) if path else "configuration"
        raise ConfigError([_plain(where, item) for item in error.errors()]) from None


def _plain(where: str, item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{where}: {key}: unknown key"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {key}: {message}" if key else f"{where}: {message}"
