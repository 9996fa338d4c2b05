"""Protected commands and settings: those that a client may use only where it has been allowed at the start."""

from __future__ import annotations

from keyp.command.server_state import ServerState
from keyp.command.spec import CommandSpec
from keyp.server.clients import Client


def refusal(server: ServerState, client: Client, spec: CommandSpec) -> str:
    """The error for a protected command that this client may not call; empty where it may."""
    name = spec.name.partition("|")[0]
    setting = f"enable-{name.lower()}-command"
    if _allows(server, client, setting):
        return ""
    return (
        f'ERR {name} command not allowed. If the {setting} option is set to "local", you can run it from a local'
        " connection, otherwise you need to set this option in the configuration file, and then restart the server."
    )


def may_change_protected(server: ServerState, client: Client) -> bool:
    """Whether a client may change settings that are protected."""
    return _allows(server, client, "enable-protected-configs")


def _allows(server: ServerState, client: Client, setting: str) -> bool:
    allowed = server.settings.get(setting)
    return allowed == "yes" or (allowed == "local" and client.is_local)
