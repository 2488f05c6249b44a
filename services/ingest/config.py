"""Follows `config.v1`: the mode, the newest rule set, the API keys."""

from dataclasses import dataclass, field, replace

import msgspec

from schemas.config import (
    KEYS_PREFIX,
    MODE_KEY,
    RULES_PREFIX,
    ApiKey,
    Input,
    Mode,
    ModeRecord,
    RuleSetContent,
    RuleSetRecord,
)
from services.config_follower import ConfigFollower
from services.ingest import markers


@dataclass(frozen=True)
class Configuration:
    """What `config.v1` says up to some offset; a record replaces it as a whole.

    Attributes:
        mode: Of the deployment.
        rules: The newest rule set, or None.
        inputs: The input topics of that rule set, by name.
        keys: All API keys by id, revoked ones too.
        marked: Partitions that were ever read, with the id of their topic then, by input topic.
    """

    mode: Mode = "new"
    rules: RuleSetRecord | None = None
    inputs: dict[str, Input] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    marked: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def sources(self) -> frozenset[str]:
        """Sources that a key or an input names: few enough to be labels of metrics."""
        named = {key.source for key in self.keys.values()}
        return frozenset(named | {each.source for each in self.inputs.values()})


def fold(known: Configuration, key: str, value: bytes | None) -> Configuration:
    """Return the configuration after one record.

    Args:
        known: The configuration before it.
        key: The record's key; one that does not concern ingest changes nothing.
        value: The record's value; None deletes it.

    Raises:
        msgspec.MsgspecError: The value is not what its key promises.
    """
    if key == MODE_KEY and value is not None:
        return replace(known, mode=msgspec.json.decode(value, type=ModeRecord).mode)
    if key.startswith(KEYS_PREFIX):
        keys = {k: v for k, v in known.keys.items() if k != key.removeprefix(KEYS_PREFIX)}
        if value is not None:
            api_key = msgspec.json.decode(value, type=ApiKey)
            keys[api_key.id] = api_key
        return replace(known, keys=keys)
    if key.startswith(markers.PREFIX):
        return replace(known, marked=_marked(known.marked, key, value))
    if key.startswith(RULES_PREFIX) and value is not None:
        rules = msgspec.json.decode(value, type=RuleSetRecord)
        if known.rules is None or rules.n > known.rules.n:
            content = msgspec.json.decode(rules.content, type=RuleSetContent)
            return replace(known, rules=rules, inputs=content.inputs)
    return known


def _marked(
    known: dict[str, dict[int, str]], key: str, value: bytes | None
) -> dict[str, dict[int, str]]:
    topic, _, number = key.removeprefix(markers.PREFIX).rpartition("/")
    if value is None:
        left = {one: id for one, id in known.get(topic, {}).items() if str(one) != number}
        return {**known, topic: left}
    marker = msgspec.json.decode(value, type=markers.Marker)
    return {**known, marker.topic: {**known.get(marker.topic, {}), marker.partition: marker.id}}


class Follower(ConfigFollower[Configuration]):
    """Keeps a `Configuration` up to date.

    Args:
        kafka: Bootstrap servers.
        topic: Full name of `config.v1`.
    """

    def __init__(self, kafka: str, topic: str) -> None:
        super().__init__(kafka, topic, Configuration(), fold)

    @property
    def configuration(self) -> Configuration:
        """What the topic says; what a new deployment begins with until it has been read."""
        return self.state
