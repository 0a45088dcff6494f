"""Whether a server can keep all promises: asked at the start, once."""

import logging
from typing import Any, Final

from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from gatewright.backplane.redis.layout import Names
from gatewright.backplane.redis.line import Line
from gatewright.backplane.redis.options import Options
from gatewright.errors import StartupError

__all__ = ["CONNECTION", "check_rights", "check_server"]

logger: logging.Logger = logging.getLogger("gatewright")

OLDEST: Final = (7, 0)

CONNECTION: Final = ("info", "ping", "ssubscribe", "sunsubscribe", "evalsha", "eval")
"""Commands that are used outside of scripts; others that a script needs are found by `_probe`."""


def check_server(options: Options, line: Line) -> None:
    """Judge what a server says of itself; raises `StartupError`."""
    info = line.info
    version = info.get("redis_version", "unknown")
    numbers = [int(each) for each in version.split(".")[:2] if each.isdigit()]
    if tuple(numbers) < OLDEST:
        raise StartupError(
            options.where,
            expected="Redis 7.0 or later, which has sharded channels and whose replicas repeat "
            "what a script did, not the script",
            got=f"version {version}",
            fix="Use a newer server.",
        )
    mode = info.get("redis_mode", "standalone")
    if (mode == "cluster") != options.cluster:
        raise StartupError(
            options.where,
            expected="a cluster" if options.cluster else "a single server",
            got="one that is a cluster's" if mode == "cluster" else f"a server in mode {mode!r}",
            fix="redis:// and rediss:// are for one server, redis+cluster:// and rediss+cluster:// "
            "for a cluster.",
        )
    if not options.cluster and not line.primary:
        raise StartupError(
            options.where,
            expected="the primary",
            got=f"a server in the role {info.get('role', 'unknown')!r}",
            fix="A replica is behind, and takes no writes: name the primary's address.",
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        logger.warning(
            "%s: maxmemory-policy is %s: when memory is short, Redis throws sessions and history "
            "away, and their clients begin anew. With noeviction emits fail instead, and nothing "
            "that was promised is lost.",
            options.where,
            policy,
        )


async def check_rights(options: Options, line: Line, names: Names) -> None:
    """Try each command on keys that nobody else has; raises `StartupError`."""
    asked = [(command[0], line.ask(*command)) for command in _probe(options, names)]
    replies: list[tuple[str, Any]] = [(name, await answer) for name, answer in asked]
    forbidden = [
        f"{name} ({reply})" for name, reply in replies if isinstance(reply, NoPermissionError)
    ]
    if forbidden:
        user = options.arguments.get("username") or "default"
        raise StartupError(
            options.where,
            expected=f"a user who may run all that the backplane needs, on keys and channels that "
            f"begin with {{{options.prefix}:",
            got=f"{user!r}, who may not run {', '.join(forbidden)}",
            fix=f"ACL SETUSER {user} resetkeys resetchannels ~{{{options.prefix}:* "
            f"&{{{options.prefix}:* {' '.join(rights(cluster=options.cluster))}",
        )
    failed = [
        f"{name} ({reply})"
        for name, reply in replies
        if isinstance(reply, ResponseError) and not isinstance(reply, NoScriptError)
    ]
    if failed:
        raise StartupError(
            options.where,
            expected="a server that carries out all commands of Redis 7.0",
            got=f"one that refuses {', '.join(failed)}",
            fix="Look at the server's log and settings.",
        )


def rights(*, cluster: bool) -> list[str]:
    """What an ACL must allow."""
    names = Names("", "")
    commands = {str(command[0]) for command in _commands(names)}
    extra = {"cluster|slots", "asking"} if cluster else set[str]()
    return [f"+{name.lower()}" for name in sorted({*commands, *CONNECTION, *extra})]


def _commands(names: Names) -> list[tuple[Any, ...]]:
    """Each command that a script may use, at its most harmless."""
    state, stream, due = names.state, names.messages, names.due
    return [
        ("TIME",),
        ("HSET", state, "probe", "1"),
        ("HGET", state, "probe"),
        ("HMGET", state, "probe"),
        ("HGETALL", state),
        ("HKEYS", state),
        ("HEXISTS", state, "probe"),
        ("HDEL", state, "probe"),
        ("XADD", stream, "*", "m", "probe"),
        ("XRANGE", stream, "-", "+", "COUNT", 1),
        ("XTRIM", stream, "MINID", "=", "0-1"),
        ("PEXPIRE", stream, 1000),
        ("SET", names.index, "probe", "PX", 1000),
        ("GET", names.index),
        ("EXISTS", names.index),
        ("DEL", names.index),
        ("ZADD", due, 1, "probe"),
        ("ZRANGEBYSCORE", due, "-inf", 1, "LIMIT", 0, 1),
        ("ZREM", due, "probe"),
        ("SPUBLISH", names.channel, "probe"),
        ("UNLINK", state, stream, names.index, due),
    ]


def _probe(options: Options, names: Names) -> list[tuple[Any, ...]]:
    more: list[tuple[Any, ...]] = [
        ("EVAL", "return struct.pack('>I8', 1)", 1, names.state),
        ("EVALSHA", "0" * 40, 1, names.state),
        ("PING",),
    ]
    if options.cluster:
        more.append(("CLUSTER", "SLOTS"))
    return [*_commands(names), *more]
