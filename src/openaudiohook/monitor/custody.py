"""Pauses of a whole call, asked for from outside: cut first, then written down, then answered.

A secure pause begins whatever else is broken: it holds in memory from the moment at which it is
asked for, and an answer says that it is in the journal as well. It ends only once it is in the
journal, on disk, who ends it: whoever cannot write that down stays paused. Nothing ends by itself,
and a conversation whose source was lost is held as it was until a source comes back.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TypeAlias

from openaudiohook.exceptions import JournalError, LocalProtocolError, NotFound
from openaudiohook.monitor.conversations import Known
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.orders import SecureAnswer, SecureEnd
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.secure_pause import SecureKind, SecureReason
from openaudiohook.store.entries import Acted, PauseBegan, PauseEnded

__all__ = ["Custody", "LiveCalls"]

LiveCalls: TypeAlias = MutableMapping[tuple[str, str], LiveCall]
"""The calls that have a source, by organization and conversation."""


class Custody:
    """The part of a platform that pauses calls.

    Every method raises `NotFound` for a conversation that is unknown, over, or another
    organization's.
    """

    def __init__(self, live_calls: LiveCalls, *, record: Record, utc_ns: Callable[[], int]) -> None:
        self._live_calls = live_calls
        self._record = record
        self._utc_ns = utc_ns
        self._ending: dict[tuple[str, str, SecureReason], object] = {}

    async def begin_secure_pause(
        self,
        organization_id: str,
        conversation_id: str,
        *,
        kind: SecureKind,
        requester: str,
        effective_at: int | None = None,
    ) -> SecureAnswer:
        """Let nothing of a call out from now on, and say where it was cut once that is recorded.

        Starting always works; repeating it changes nothing but that an earlier cut takes back more.

        Args:
            organization_id: whose call it is.
            conversation_id: which.
            kind: what kind of request this is.
            requester: whose; only the same one can end it.
            effective_at: the cut that is wanted, in samples of call time; one yet to come is now.

        Raises:
            JournalError: the pause is in force, and is not recorded.
        """
        key, reason = (organization_id, conversation_id), SecureReason(kind, requester)
        call = self._live_calls.get(key)
        if call is not None and not call.is_done:  # what is over may still be delivering
            cut = call.begin_secure_pause(kind, requester, effective_at)
            ids = [endpoint.config.integration_id for endpoint in call.running.endpoints]
            gone = dict(zip(ids, cut.gone, strict=False))
            answer = SecureAnswer(part=call.part, position=cut.position, gone=gone)
        else:
            known = self._known(organization_id, conversation_id)
            if reason not in _reasons(known):
                self._note(PauseBegan, known, "secure", str(kind), requester)
            answer = SecureAnswer(part=known.part, position=known.at)
        # An end of it that is being written is of no account any more.
        self._ending.pop((*key, reason), None)
        try:
            await self._record.sync()
        except JournalError as error:
            raise JournalError(
                f"the secure pause is in force, and it is not recorded yet: {error}"
            ) from None
        return answer

    async def end_secure_pause(
        self, organization_id: str, conversation_id: str, *, kind: SecureKind, requester: str
    ) -> SecureEnd:
        """Take one's own reason back, once it is on disk that one does; others may still hold.

        Where no reason is held at all, nothing is to be done.

        Raises:
            JournalError: it cannot be recorded, and so the pause goes on.
            LocalProtocolError: others hold the pause and this requester does not, or it was begun
                anew meanwhile.
        """
        reason = SecureReason(kind, requester)
        held = self._held(organization_id, conversation_id)
        if not held:
            return self._position(organization_id, conversation_id)
        if reason not in held:
            kinds = ", ".join(sorted({str(one.kind) for one in held}))
            raise LocalProtocolError(
                f"the secure pause is held by others ({kinds}), and each reason is ended only by "
                "whoever began it"
            )
        key = organization_id, conversation_id, reason
        mine = self._ending[key] = object()
        try:
            self._record.insist(self._ended_by(organization_id, conversation_id, reason))
            await self._record.sync()
        except JournalError as error:
            raise JournalError(
                f"the secure pause goes on, because its end cannot be recorded: {error}"
            ) from None
        finally:
            is_begun_anew = self._ending.get(key) is not mine
            if not is_begun_anew:
                del self._ending[key]
        if is_begun_anew:
            raise LocalProtocolError("the secure pause goes on: it was begun anew meanwhile")
        return self._end(organization_id, conversation_id, reason)

    async def begin_client_pause(
        self, organization_id: str, conversation_id: str, *, requester: str
    ) -> int:
        """Pause a call on every endpoint, and return the sample from which on it is.

        It is not a secure pause: what was captured before still leaves.
        """
        call = self._live(organization_id, conversation_id)
        if call is not None:
            return call.begin_client_pause(requester)
        known = self._known(organization_id, conversation_id)
        self._note(PauseBegan, known, "client", "api", requester)
        return known.at

    async def end_client_pause(
        self, organization_id: str, conversation_id: str, *, requester: str
    ) -> int:
        """Take one's own client pause back, where there is one; return the sample at which."""
        call = self._live(organization_id, conversation_id)
        if call is not None:
            return call.end_client_pause(requester)
        known = self._known(organization_id, conversation_id)
        self._note(PauseEnded, known, "client", "api", requester)
        return known.at

    # ------------------------------------------------------------------------------------

    def _live(self, organization_id: str, conversation_id: str) -> LiveCall | None:
        """Return the call where a source is attached to the conversation."""
        call = self._live_calls.get((organization_id, conversation_id))
        return None if call is None or call.is_over else call

    def _known(self, organization_id: str, conversation_id: str) -> Known:
        """Return a conversation that has not ended."""
        known = self._record.conversations.get(organization_id, conversation_id)
        if known is None:
            raise NotFound(
                "no conversation of that id is here, or it is over", entity_type="conversation"
            )
        return known

    def _held(self, organization_id: str, conversation_id: str) -> list[SecureReason]:
        call = self._live(organization_id, conversation_id)
        if call is not None:
            return list(call.held_since)
        return _reasons(self._known(organization_id, conversation_id))

    def _position(self, organization_id: str, conversation_id: str) -> SecureEnd:
        held_by = tuple(str(one.kind) for one in self._held(organization_id, conversation_id))
        call = self._live(organization_id, conversation_id)
        if call is not None:
            return SecureEnd(part=call.part, position=call.position, held_by=held_by)
        known = self._known(organization_id, conversation_id)
        return SecureEnd(part=known.part, position=known.at, held_by=held_by)

    def _end(self, organization_id: str, conversation_id: str, reason: SecureReason) -> SecureEnd:
        call = self._live(organization_id, conversation_id)
        if call is not None:
            position = call.end_secure_pause(reason.kind, reason.requester)
        else:
            known = self._known(organization_id, conversation_id)
            self._note(PauseEnded, known, "secure", str(reason.kind), reason.requester)
            position = known.at
        now = self._position(organization_id, conversation_id)
        return SecureEnd(part=now.part, position=position, held_by=now.held_by)

    def _ended_by(self, organization_id: str, conversation_id: str, reason: SecureReason) -> Acted:
        """What has to be on disk before a reason ends."""
        now = self._position(organization_id, conversation_id)
        return Acted(
            organization_id=organization_id,
            utc_ns=self._utc_ns(),
            requester=reason.requester,
            action="securePause.end",
            entity_type="call",
            entity_id=conversation_id,
            detail={"reason": str(reason.kind), "part": now.part, "at": now.position},
        )

    def _note(
        self,
        kind: type[PauseBegan] | type[PauseEnded],
        known: Known,
        cause: str,
        reason: str,
        requester: str,
    ) -> None:
        entry = kind(
            organization_id=known.organization_id,
            utc_ns=self._utc_ns(),
            conversation_id=known.conversation_id,
            part=known.part,
            at=known.at,
            cause="secure" if cause == "secure" else "client",
            reason=reason,
            requester=requester,
        )
        self._record.note(entry)


def _reasons(known: Known) -> list[SecureReason]:
    return [SecureReason(SecureKind(one.reason), one.requester) for one in known.secure]
