"""Protected commands: those that a client may call only where the command line has allowed it."""

from __future__ import annotations

from keyp.command.server_state import ServerState
from keyp.command.spec import CommandSpec
from keyp.server.clients import Client


def refusal(server: ServerState, client: Client, spec: CommandSpec) -> str:
    """The error for a protected command that this client may not call; empty where it may."""
    name = spec.name.partition("|")[0]
    setting = f"enable-{name.lower()}-command"
    allowed = server.settings.get(setting)
    if allowed == "yes" or (allowed == "local" and client.is_local):
        return ""
    return (
        f'ERR {name} command not allowed. If the {setting} option is set to "local", you can run it from a local'
        " connection, otherwise you need to set this option in the configuration file, and then restart the server."
    )
