"""Which associations are queued, by their A-ASSOCIATE-RQ alone; and which of their commands are not."""

from collections.abc import Callable
from typing import Final

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.services import VERIFICATION_SOP_CLASS
from dimse_proxy.upper_layer.pdu import AssociateRequest, RoleSelection, UserIdentityRequest

_ANSWERED_HERE: Final = (CommandField.C_STORE_RQ, CommandField.C_ECHO_RQ)


def is_queued(request: AssociateRequest, *, is_storage: Callable[[str], bool], is_alias: bool) -> bool:
    """Whether an association is queued rather than relayed.

    Args:
        request: as the requestor's filter has left it.
        is_storage: says whether an abstract syntax is a storage SOP class.
        is_alias: the called AE title is a Move alias, so what comes are sub-operations of a C-MOVE.
    """
    syntaxes = {context.abstract_syntax for context in request.presentation_contexts} - {VERIFICATION_SOP_CLASS}
    if is_alias or not syntaxes or not all(map(is_storage, syntaxes)):
        return False
    for item in request.user_information:
        match item:
            case UserIdentityRequest():
                return False
            case RoleSelection(scp_role=scp_role) if scp_role:
                return False
    return True


def is_answered_here(command: CommandSet) -> bool:
    """Whether a command of a queued association is answered without the target.

    Not a C-STORE sub-operation of a C-MOVE: who asked for the C-MOVE wants to know what became of it.
    """
    return command.command_field in _ANSWERED_HERE and command.move_originator_ae_title is None


def is_ignored(command: CommandSet) -> bool:
    """Whether a command needs no answer and asks for nothing: there is no C-STORE that could be cancelled."""
    return command.is_response or command.command_field is CommandField.C_CANCEL_RQ
