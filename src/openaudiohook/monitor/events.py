"""The catalogue of operational events: what the Monitor tells whoever runs it.

Ids are stable. Those below 0100 are the platform's own and keep what is known of their meaning;
those from 0100 on are ours. What raises an event says what happened this time, in a text of its
own; here stands what that means, and what can be done about it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal

from openaudiohook.fanout.failures import Failure, FailureKind
from openaudiohook.fanout.notices import Notice, NoticeKind

__all__ = ["CATALOGUE", "EventId", "EventKind", "Level", "event_for"]

Level = Literal["error", "warning", "info"]


class EventId(enum.StrEnum):
    """The ids of the catalogue, by what happened."""

    # The platform's own.
    CONFIGURATION_INVALID = "AUDIOHOOK-0001"
    TIMED_OUT = "AUDIOHOOK-0002"
    UNAUTHORIZED = "AUDIOHOOK-0003"
    SEQUENCE_INVALID = "AUDIOHOOK-0004"
    PONG_MISSING = "AUDIOHOOK-0006"
    MESSAGE_INVALID = "AUDIOHOOK-0009"
    RATE_LIMITED = "AUDIOHOOK-0012"
    # The connection and its upgrade.
    HOST_UNAVAILABLE = "AUDIOHOOK-0100"
    NAME_SERVER_SILENT = "AUDIOHOOK-0101"
    CONNECTION_FAILED = "AUDIOHOOK-0102"
    TLS_FAILED = "AUDIOHOOK-0103"
    UPGRADE_REFUSED = "AUDIOHOOK-0104"
    UPGRADE_INVALID = "AUDIOHOOK-0105"
    CLOSED_EARLY = "AUDIOHOOK-0106"
    ENDPOINT_BARRED = "AUDIOHOOK-0107"
    # The session.
    ENDPOINT_FAILED = "AUDIOHOOK-0110"
    ENDPOINT_DECLINED = "AUDIOHOOK-0111"
    MEDIA_INVALID = "AUDIOHOOK-0112"
    STATE_CONFLICT = "AUDIOHOOK-0113"
    MESSAGE_TOO_LARGE = "AUDIOHOOK-0114"
    AUDIO_UNEXPECTED = "AUDIOHOOK-0115"
    CONNECTION_LOST = "AUDIOHOOK-0116"
    CLOSE_TIMED_OUT = "AUDIOHOOK-0117"
    CONGESTED = "AUDIOHOOK-0118"
    CALL_OVER = "AUDIOHOOK-0119"
    RATE_WARNING = "AUDIOHOOK-0120"
    INTERNAL_ERROR = "AUDIOHOOK-0121"
    RECONNECTED = "AUDIOHOOK-0122"
    # The stream.
    THROTTLING_BEGAN = "AUDIOHOOK-0130"
    THROTTLING_ENDED = "AUDIOHOOK-0131"
    SAMPLES_LOST = "AUDIOHOOK-0132"
    ENDPOINT_FAR = "AUDIOHOOK-0133"
    ENDPOINT_SLOW = "AUDIOHOOK-0134"
    ENDPOINT_NEAR = "AUDIOHOOK-0135"
    # The integration.
    ACTIVATION_FAILED = "AUDIOHOOK-0140"
    ACTIVATED = "AUDIOHOOK-0141"
    DEACTIVATED = "AUDIOHOOK-0142"
    # The call.
    EDGE_REFUSED = "AUDIOHOOK-0150"
    SOURCE_LOST = "AUDIOHOOK-0151"
    SOURCE_UNPLAYABLE = "AUDIOHOOK-0152"
    SECURE_PAUSE_REMINDER = "AUDIOHOOK-0153"
    SECURE_PAUSE_RESTORED = "AUDIOHOOK-0154"
    # The Monitor itself.
    JOURNAL_NOT_WRITABLE = "AUDIOHOOK-0160"
    JOURNAL_WRITABLE = "AUDIOHOOK-0161"
    JOURNAL_REPAIRED = "AUDIOHOOK-0162"
    DATABASE_AWAY = "AUDIOHOOK-0163"
    DATABASE_BACK = "AUDIOHOOK-0164"
    AUDIT_HEAD = "AUDIOHOOK-0165"
    MONITOR_RESTARTED = "AUDIOHOOK-0166"
    EVENTS_MISSED = "AUDIOHOOK-0167"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """One entry of the catalogue.

    Attributes:
        id: its stable id.
        name: a title.
        description: what happened, in a sentence.
        meaning: what that does to calls and their streams.
        remedy: what to do about it.
        level: `error` where something was not done, `warning` where it was done worse, `info`
            where nothing is wrong.
    """

    id: EventId
    name: str
    description: str
    meaning: str
    remedy: str
    level: Level = "error"


def event_for(what: Failure | Notice | FailureKind | NoticeKind) -> EventId:
    """Return the event that tells of a failed session, attempt or probe, or of a notice."""
    return _EVENTS[what.kind if isinstance(what, Failure | Notice) else what]


_EVENTS: Final[dict[FailureKind | NoticeKind, EventId]] = {
    FailureKind.CONFIGURATION: EventId.CONFIGURATION_INVALID,
    FailureKind.BARRED: EventId.ENDPOINT_BARRED,
    FailureKind.HOST_UNAVAILABLE: EventId.HOST_UNAVAILABLE,
    FailureKind.NAME_SERVER: EventId.NAME_SERVER_SILENT,
    FailureKind.NO_CONNECTION: EventId.CONNECTION_FAILED,
    FailureKind.CONNECT_TIMEOUT: EventId.TIMED_OUT,
    FailureKind.TLS: EventId.TLS_FAILED,
    FailureKind.UPGRADE_REFUSED: EventId.UPGRADE_REFUSED,
    FailureKind.UPGRADE_MALFORMED: EventId.UPGRADE_INVALID,
    FailureKind.UNAUTHORIZED: EventId.UNAUTHORIZED,
    FailureKind.OPEN_TIMEOUT: EventId.TIMED_OUT,
    FailureKind.CLOSED_EARLY: EventId.CLOSED_EARLY,
    FailureKind.DISCONNECTED: EventId.ENDPOINT_FAILED,
    FailureKind.DECLINED: EventId.ENDPOINT_DECLINED,
    FailureKind.MALFORMED: EventId.MESSAGE_INVALID,
    FailureKind.SEQUENCE: EventId.SEQUENCE_INVALID,
    FailureKind.MEDIA: EventId.MEDIA_INVALID,
    FailureKind.CONFLICT: EventId.STATE_CONFLICT,
    FailureKind.TOO_LARGE: EventId.MESSAGE_TOO_LARGE,
    FailureKind.UNEXPECTED_AUDIO: EventId.AUDIO_UNEXPECTED,
    FailureKind.RATE_LIMITED: EventId.RATE_LIMITED,
    FailureKind.PONG_TIMEOUT: EventId.PONG_MISSING,
    FailureKind.CONGESTED: EventId.CONGESTED,
    FailureKind.CONNECTION_LOST: EventId.CONNECTION_LOST,
    FailureKind.CLOSE_TIMEOUT: EventId.CLOSE_TIMED_OUT,
    FailureKind.INTERNAL: EventId.INTERNAL_ERROR,
    FailureKind.CALL_OVER: EventId.CALL_OVER,
    NoticeKind.RECONNECTED: EventId.RECONNECTED,
    NoticeKind.RATE_WARNING: EventId.RATE_WARNING,
    NoticeKind.THROTTLED: EventId.THROTTLING_BEGAN,
    NoticeKind.CAUGHT_UP: EventId.THROTTLING_ENDED,
    NoticeKind.SAMPLES_LOST: EventId.SAMPLES_LOST,
}

_NOT_STREAMED: Final = "The call goes on; this integration is not streamed."
_RETRIED: Final = (
    "The attempt is repeated, up to five times. If none succeeds, the call goes on and this "
    "integration is not streamed."
)
_STREAM_ENDED: Final = "The stream to this integration ends; the call and the others go on."
_MOVED: Final = (
    "Where reconnections are enabled, another session takes over, with at most the last 20 s as "
    "history. Else the stream to this integration ends; the call and the others go on."
)
_NO_HARM: Final = "Nothing is wrong."

CATALOGUE: Final[dict[str, EventKind]] = {
    kind.id: kind
    for kind in (
        EventKind(
            id=EventId.CONFIGURATION_INVALID,
            name="Integration error",
            description="The configured URI, key or advanced configuration cannot be used.",
            meaning=_NOT_STREAMED,
            remedy="Correct what the text names, and activate the integration again.",
        ),
        EventKind(
            id=EventId.TIMED_OUT,
            name="Connection timed out",
            description="No connection within 5 s, or no `opened` within 5 s of `open`.",
            meaning=_RETRIED,
            remedy="For a connection: look for a firewall that drops what it should refuse. For "
            "`opened`: let the service answer before it starts anything slow.",
        ),
        EventKind(
            id=EventId.UNAUTHORIZED,
            name="Authentication failed",
            description="The service answered HTTP 401, or `disconnect` with `unauthorized`.",
            meaning=_NOT_STREAMED + " It is not tried again within the call.",
            remedy="Compare API key and client secret on both sides (the secret is Base64, and is "
            "decoded before it signs), and their clocks. `openaudiohook sign` explains a request.",
        ),
        EventKind(
            id=EventId.SEQUENCE_INVALID,
            name="Invalid sequence number",
            description="A message of the service had a wrong `seq` or `clientseq`.",
            meaning=_STREAM_ENDED,
            remedy="Number every message from 1 on without a gap, and repeat the latest `seq` "
            "that was received as `clientseq`.",
        ),
        EventKind(
            id=EventId.PONG_MISSING,
            name="No pong in time",
            description="The service did not answer a `ping` before the next one was due, 5 s on.",
            meaning=_MOVED,
            remedy="Answer `ping` at once, from a task that nothing else can hold up.",
        ),
        EventKind(
            id=EventId.MESSAGE_INVALID,
            name="Invalid server message",
            description="A message of the service could not be read: no JSON, a field missing or "
            "of the wrong type, or another session's id.",
            meaning=_STREAM_ENDED,
            remedy="The text names the field; correct the service.",
        ),
        EventKind(
            id=EventId.RATE_LIMITED,
            name="Rate limit exceeded",
            description="The service went on sending far too many messages, and was cut off.",
            meaning=_STREAM_ENDED + " New sessions are refused to the service for a while.",
            remedy="Keep to 5 messages a second on average, at most 25 at once; `pause` and "
            "`resume` to 2 a second each, at most 4. Put several results in one `event`.",
        ),
        EventKind(
            id=EventId.HOST_UNAVAILABLE,
            name="Host unavailable",
            description="The name of the host was not found, or no route leads to it.",
            meaning=_NOT_STREAMED + " It is not tried again within the call.",
            remedy="Check the spelling of the host in the URI, its DNS record, and the routes of "
            "the machine that the Monitor runs on.",
        ),
        EventKind(
            id=EventId.NAME_SERVER_SILENT,
            name="Name server failed",
            description="The host's name could not be looked up.",
            meaning=_RETRIED,
            remedy="Check the name servers of the machine that the Monitor runs on.",
        ),
        EventKind(
            id=EventId.CONNECTION_FAILED,
            name="Connection failed",
            description="The connection was refused or reset.",
            meaning=_RETRIED,
            remedy="Check that the service runs, and listens at the host and port of the URI.",
        ),
        EventKind(
            id=EventId.TLS_FAILED,
            name="TLS failed",
            description="No secure connection: the certificate is not accepted, or the service "
            "speaks no TLS there.",
            meaning=_RETRIED,
            remedy="Use a certificate of a public authority, for the host of the URI, with its "
            "whole chain; and check that the port is the one that speaks TLS.",
        ),
        EventKind(
            id=EventId.UPGRADE_REFUSED,
            name="Upgrade refused",
            description="The service answered the WebSocket request with another HTTP status "
            "than 101.",
            meaning=_NOT_STREAMED + " It is not tried again within the call, unless it was a 5xx "
            "status and `retryUpgrade5xx` is set.",
            remedy="Look at the status: 404 is a wrong path, 403 a rule of the service or a proxy, "
            "3xx a redirect (give the final URI), 429 and 503 an overloaded service.",
        ),
        EventKind(
            id=EventId.UPGRADE_INVALID,
            name="Invalid upgrade",
            description="What answered the WebSocket request does not speak HTTP, or not "
            "WebSocket.",
            meaning=_NOT_STREAMED + " It is not tried again within the call.",
            remedy="Check host, port and path of the URI, and any proxy in between.",
        ),
        EventKind(
            id=EventId.CLOSED_EARLY,
            name="Connection closed early",
            description="The service closed the connection before it had answered `open`.",
            meaning=_RETRIED,
            remedy="Refuse a session with `disconnect`; look for a crash in the service's log, and "
            "for a proxy's time-out.",
        ),
        EventKind(
            id=EventId.ENDPOINT_BARRED,
            name="Endpoint cut off for a while",
            description="The service had been cut off for too many messages; no new session is "
            "opened to it yet.",
            meaning=_NOT_STREAMED,
            remedy="See AUDIOHOOK-0012. The text says how long it lasts.",
        ),
        EventKind(
            id=EventId.ENDPOINT_FAILED,
            name="Endpoint reported an error",
            description="The service sent `disconnect` with reason `error`.",
            meaning="Before `opened` the attempt is repeated, up to five times. After it: "
            + _MOVED[0].lower()
            + _MOVED[1:],
            remedy="Its own log tells more.",
        ),
        EventKind(
            id=EventId.ENDPOINT_DECLINED,
            name="Endpoint declined",
            description="The service sent `disconnect` with `rejected`, or with `completed` in "
            "answer to `open`.",
            meaning=_STREAM_ENDED,
            remedy="It does not want this call. If it should, its own log tells why it does not.",
        ),
        EventKind(
            id=EventId.MEDIA_INVALID,
            name="Media not offered",
            description="The service selected media in `opened` that were not offered, or more "
            "than one.",
            meaning=_NOT_STREAMED + " It is not tried again within the call.",
            remedy="Answer with exactly one entry of the offer, unaltered, or with none. Compare "
            "the integration's channel with what the service expects.",
        ),
        EventKind(
            id=EventId.STATE_CONFLICT,
            name="Message out of place",
            description="The service sent a message that has no place in the state of the session.",
            meaning=_STREAM_ENDED,
            remedy="The text names message and state; see the table of states.",
        ),
        EventKind(
            id=EventId.MESSAGE_TOO_LARGE,
            name="Message too large",
            description="The service sent a message of more than 65,536 bytes.",
            meaning=_STREAM_ENDED,
            remedy="Keep messages below 64,000 bytes; spread results over several.",
        ),
        EventKind(
            id=EventId.AUDIO_UNEXPECTED,
            name="Unexpected audio",
            description="The service sent a binary message.",
            meaning=_STREAM_ENDED,
            remedy="A monitoring service listens only: send text messages.",
        ),
        EventKind(
            id=EventId.CONNECTION_LOST,
            name="Connection lost",
            description="The connection broke, or the service closed it without being asked.",
            meaning=_MOVED,
            remedy="Look for a restart of the service, and for idle time-outs of proxies and load "
            "balancers. Who wants to end a session sends `disconnect`.",
        ),
        EventKind(
            id=EventId.CLOSE_TIMED_OUT,
            name="Close timed out",
            description="The service did not answer `close` with `closed` within 10 s.",
            meaning="All audio had been sent; its last results may be missing.",
            remedy="Answer `close` once the last results are sent, and within 10 s.",
        ),
        EventKind(
            id=EventId.CONGESTED,
            name="Endpoint far too slow",
            description="The service took what it was sent so slowly that even a `ping` did not "
            "get through, though audio was left out already.",
            meaning=_STREAM_ENDED + " No other session follows: it would fare no better.",
            remedy="Let the service read all the time, whatever it does with what it reads; check "
            "the bandwidth to it (128 kbit/s a call, and more to catch up).",
        ),
        EventKind(
            id=EventId.CALL_OVER,
            name="Not opened before the end",
            description="The call was over before the service had opened its session.",
            meaning="The integration was not streamed.",
            remedy="Other events of the call tell what the attempts had failed for. A very short "
            "call may be all there is to it.",
            level="warning",
        ),
        EventKind(
            id=EventId.RATE_WARNING,
            name="Rate limit reached",
            description="The service sent more messages than it may; it was answered with error "
            "429 and `retryAfter`.",
            meaning="What it sent of its own accord over the limit is not heeded. The stream goes "
            "on; a service that does not stop is cut off.",
            remedy="See AUDIOHOOK-0012.",
            level="warning",
        ),
        EventKind(
            id=EventId.INTERNAL_ERROR,
            name="Internal error",
            description="The Monitor made a mistake in this session.",
            meaning=_MOVED,
            remedy="Report it, with the text and the version.",
        ),
        EventKind(
            id=EventId.RECONNECTED,
            name="Session followed by another",
            description="Another session took the stream over.",
            meaning=_NO_HARM,
            remedy="Nothing. Many of them at once are worth a look at the service.",
            level="info",
        ),
        EventKind(
            id=EventId.THROTTLING_BEGAN,
            name="Throttling began",
            description="The service is 2 s behind: audio is left out until it has caught up.",
            meaning="What is left out is announced with `discarded`, and lost for the service.",
            remedy="Let the service read all the time; check the network to it.",
            level="warning",
        ),
        EventKind(
            id=EventId.THROTTLING_ENDED,
            name="Throttling ended",
            description="The service has caught up; audio is sent again.",
            meaning="The text says how much was left out.",
            remedy="See AUDIOHOOK-0130.",
            level="info",
        ),
        EventKind(
            id=EventId.SAMPLES_LOST,
            name="Audio lost",
            description="Audio of the call was never offered to the service.",
            meaning="Nobody was connected for longer than the 20 s that are kept, or the stream "
            "ended before the call did. It cannot be sent later.",
            remedy="Other events of the call tell why nobody was connected.",
            level="warning",
        ),
        EventKind(
            id=EventId.ENDPOINT_FAR,
            name="Endpoint in another region",
            description="The service runs in another region, and its round trips take long.",
            meaning="Calls are streamed, with more delay than need be.",
            remedy="Run the service in the Monitor's region, or a Monitor in the service's.",
            level="warning",
        ),
        EventKind(
            id=EventId.ENDPOINT_SLOW,
            name="Endpoint slow to answer",
            description="Round trips to the service take long.",
            meaning="Calls are streamed; a service this slow is close to missing its time-outs.",
            remedy="Look at the load of the service and the network to it. If it runs elsewhere, "
            "give the integration its region.",
            level="warning",
        ),
        EventKind(
            id=EventId.ENDPOINT_NEAR,
            name="Endpoint answers in time again",
            description="Round trips are short again.",
            meaning=_NO_HARM,
            remedy="Nothing.",
            level="info",
        ),
        EventKind(
            id=EventId.ACTIVATION_FAILED,
            name="Activation failed",
            description="The connection probe failed, and the integration stays inactive.",
            meaning="No call is streamed to it.",
            remedy="The text lists every failure of the probe, and how often it happened; each has "
            "an entry of its own here. Correct the cause and activate the integration again.",
        ),
        EventKind(
            id=EventId.ACTIVATED,
            name="Integration activated",
            description="The connection probe succeeded.",
            meaning="Calls that are monitored from now on are streamed to it.",
            remedy="Nothing.",
            level="info",
        ),
        EventKind(
            id=EventId.DEACTIVATED,
            name="Integration deactivated",
            description="The integration was disabled or its configuration changed.",
            meaning="Its live sessions were closed, and no further call is streamed to it.",
            remedy="Activate it again when it is wanted.",
            level="info",
        ),
        EventKind(
            id=EventId.EDGE_REFUSED,
            name="Edge not supported",
            description="The call's media is not handled by an edge whose calls may be monitored.",
            meaning="The call goes on; it is streamed to no integration.",
            remedy='Declare the edge that handles the media: `edgeType = "cloud"` or '
            '`edgeType = "byoc-cloud"`. Calls on `byoc-premises` and `ldm` are never monitored.',
        ),
        EventKind(
            id=EventId.SOURCE_LOST,
            name="Source lost",
            description="The audio of a call ended before the call did.",
            meaning="The call is over for the Monitor; its sessions were closed.",
            remedy="Attach a source to the conversation again to go on with it.",
        ),
        EventKind(
            id=EventId.SOURCE_UNPLAYABLE,
            name="Source not playable",
            description="A file or a scenario could not be played.",
            meaning="The call was not started, or what could not be played is silence.",
            remedy="The text names what was wrong; a recording is WAV, 8 kHz, mu-law or 16 bit.",
        ),
        EventKind(
            id=EventId.SECURE_PAUSE_REMINDER,
            name="Secure pause still holds",
            description="A secure pause has lasted for some minutes.",
            meaning="Nothing is streamed to any integration until every reason was taken back; "
            "that never happens by itself.",
            remedy="If it was forgotten, whoever began it ends it. The text names the reasons.",
            level="warning",
        ),
        EventKind(
            id=EventId.SECURE_PAUSE_RESTORED,
            name="Secure pause restored",
            description="A source was attached to a conversation whose secure pause had not ended.",
            meaning="The call starts paused; nothing is streamed until every reason ends.",
            remedy="End what no longer holds.",
            level="warning",
        ),
        EventKind(
            id=EventId.JOURNAL_NOT_WRITABLE,
            name="Journal not writable",
            description="The journal cannot be written.",
            meaning="Calls are streamed on and a secure pause can be begun, but none can be ended "
            "and nothing configured, until it can.",
            remedy="Look at the disk that holds it: free space, permissions, errors.",
        ),
        EventKind(
            id=EventId.JOURNAL_WRITABLE,
            name="Journal writable again",
            description="The journal can be written again.",
            meaning="What had to wait for it goes on.",
            remedy="Nothing.",
            level="info",
        ),
        EventKind(
            id=EventId.JOURNAL_REPAIRED,
            name="Journal repaired",
            description="The last entry of the journal had not been written to its end, and was "
            "cut off.",
            meaning="The Monitor had been stopped in the middle of writing. Nothing that anybody "
            "was told of is missing.",
            remedy="Nothing; look why it was stopped.",
            level="warning",
        ),
        EventKind(
            id=EventId.DATABASE_AWAY,
            name="Database away",
            description="The database does not answer.",
            meaning="Calls, pauses and the journal go on. Reports are late, and nothing can be "
            "configured.",
            remedy="Bring it back; nothing is lost meanwhile.",
        ),
        EventKind(
            id=EventId.DATABASE_BACK,
            name="Database back",
            description="The database answers again.",
            meaning="What the journal holds is brought into it, in order and once.",
            remedy="Nothing.",
            level="info",
        ),
        EventKind(
            id=EventId.AUDIT_HEAD,
            name="Audit head",
            description="The number and the code of the journal's last entry.",
            meaning="With it, `openaudiohook audit verify --head` finds out later whether entries "
            "were cut off.",
            remedy="Keep it where the Monitor's operator cannot change it.",
            level="info",
        ),
        EventKind(
            id=EventId.MONITOR_RESTARTED,
            name="Monitor restarted",
            description="The Monitor had not been stopped in good order and has started again.",
            meaning="Its calls were cut off. They are charged up to the last position that was "
            "noted, at most a second before; how much of them had been sent is not known.",
            remedy="Look why it was stopped. Sources can be attached to their conversations again.",
            level="warning",
        ),
        EventKind(
            id=EventId.EVENTS_MISSED,
            name="Events left out",
            description="Whoever listens to the events reads them too slowly.",
            meaning="The oldest of them were left out of his stream; all of them are kept.",
            remedy="Ask for those that are missing, and read faster.",
            level="info",
        ),
    )
}
"""Every event, by its id."""
