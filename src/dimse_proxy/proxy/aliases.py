"""Move aliases: which commands of an association are rewritten, and how (docs/architecture.md).

The asker's Move Destination becomes its alias on the way to the PACS; the Move Originator of the sub-operations that
the PACS then sends to the alias becomes the asker's own title again. One to one, and no state for a move.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.rewrite import move_destination, move_originator
from dimse_proxy.proxy.routes import NO_ALIASES

CommandRule: TypeAlias = Callable[[int, CommandSet], CommandSet | None]
"""Presentation context ID and command to the command to send instead, None for the one that came."""

STORAGE_PREFIX: Final = "1.2.840.10008.5.1.4.1.1."
"""Every standard storage SOP class begins so; no C-MOVE-RQ can come on such a context."""


def command_rule(aliases: Mapping[str, str], asker: str | None, abstract_syntaxes: Iterable[str]) -> CommandRule | None:
    """The rule for an association's commands from its requestor; None where nothing can need rewriting.

    Args:
        aliases: asker's AE title to its alias, on associations with the channel of this one.
        asker: the asker whose alias was called, if it was one.
        abstract_syntaxes: of the accepted contexts.
    """
    destinations = aliases
    if all(syntax.startswith(STORAGE_PREFIX) for syntax in abstract_syntaxes):
        destinations = NO_ALIASES
    if not destinations and asker is None:
        return None

    def rule(_context_id: int, command: CommandSet) -> CommandSet | None:
        match command.command_field:
            case CommandField.C_MOVE_RQ:
                alias = destinations.get(command.move_destination or "")
                return None if alias is None else move_destination(command, alias)
            case CommandField.C_STORE_RQ:
                if asker is None or not command.move_originator_ae_title:
                    return None
                return move_originator(command, asker)
            case _:
                return None

    return rule
