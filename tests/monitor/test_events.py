"""The catalogue of operational events: complete, stable, and without anything personal."""

from __future__ import annotations

import re

import pytest

from openaudiohook.fanout.failures import Failure, FailureKind
from openaudiohook.fanout.notices import Notice, NoticeKind
from openaudiohook.monitor.events import CATALOGUE, EventId, event_for
from openaudiohook.monitor.regions import Distance, RoundTrip

pytestmark = pytest.mark.unit

KINDS = [*FailureKind, *NoticeKind]


def test_the_platforms_own_ids_keep_their_meaning() -> None:
    known = {
        "AUDIOHOOK-0001": FailureKind.CONFIGURATION,
        "AUDIOHOOK-0002": FailureKind.CONNECT_TIMEOUT,
        "AUDIOHOOK-0003": FailureKind.UNAUTHORIZED,
        "AUDIOHOOK-0004": FailureKind.SEQUENCE,
        "AUDIOHOOK-0006": FailureKind.PONG_TIMEOUT,
        "AUDIOHOOK-0009": FailureKind.MALFORMED,
        "AUDIOHOOK-0012": FailureKind.RATE_LIMITED,
    }
    for event_id, kind in known.items():
        assert event_for(kind) == event_id
    assert {id_ for id_ in EventId if int(id_[-4:]) < 100} == set(known)
    assert event_for(FailureKind.OPEN_TIMEOUT) == "AUDIOHOOK-0002"


def test_ids_are_never_renumbered() -> None:
    """Whoever reads events keeps rules by these numbers: add to this list, and change nothing."""
    assert {name: id_[-4:] for name, id_ in EventId.__members__.items()} == {
        "CONFIGURATION_INVALID": "0001", "TIMED_OUT": "0002", "UNAUTHORIZED": "0003",
        "SEQUENCE_INVALID": "0004", "PONG_MISSING": "0006", "MESSAGE_INVALID": "0009",
        "RATE_LIMITED": "0012", "HOST_UNAVAILABLE": "0100", "NAME_SERVER_SILENT": "0101",
        "CONNECTION_FAILED": "0102", "TLS_FAILED": "0103", "UPGRADE_REFUSED": "0104",
        "UPGRADE_INVALID": "0105", "CLOSED_EARLY": "0106", "ENDPOINT_BARRED": "0107",
        "ENDPOINT_FAILED": "0110", "ENDPOINT_DECLINED": "0111", "MEDIA_INVALID": "0112",
        "STATE_CONFLICT": "0113", "MESSAGE_TOO_LARGE": "0114", "AUDIO_UNEXPECTED": "0115",
        "CONNECTION_LOST": "0116", "CLOSE_TIMED_OUT": "0117", "CONGESTED": "0118",
        "CALL_OVER": "0119", "RATE_WARNING": "0120", "INTERNAL_ERROR": "0121",
        "RECONNECTED": "0122", "THROTTLING_BEGAN": "0130", "THROTTLING_ENDED": "0131",
        "SAMPLES_LOST": "0132", "ENDPOINT_FAR": "0133", "ENDPOINT_SLOW": "0134",
        "ENDPOINT_NEAR": "0135", "ACTIVATION_FAILED": "0140", "ACTIVATED": "0141",
        "DEACTIVATED": "0142", "EDGE_REFUSED": "0150", "SOURCE_LOST": "0151",
        "SOURCE_UNPLAYABLE": "0152", "SECURE_PAUSE_REMINDER": "0153",
        "SECURE_PAUSE_RESTORED": "0154", "JOURNAL_NOT_WRITABLE": "0160",
        "JOURNAL_WRITABLE": "0161", "JOURNAL_REPAIRED": "0162", "DATABASE_AWAY": "0163",
        "DATABASE_BACK": "0164", "AUDIT_HEAD": "0165", "MONITOR_RESTARTED": "0166",
        "EVENTS_MISSED": "0167",
    }  # fmt: skip


def test_every_id_is_in_the_catalogue_once() -> None:
    assert list(CATALOGUE) == [str(id_) for id_ in EventId]
    assert list(CATALOGUE) == sorted(CATALOGUE)
    assert len(set(EventId)) == len(EventId.__members__)  # no two names share an id
    assert len({kind.name for kind in CATALOGUE.values()}) == len(CATALOGUE)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_failure_and_every_notice_leads_to_an_event(
    kind: FailureKind | NoticeKind,
) -> None:
    event = CATALOGUE[event_for(kind)]
    assert event_for(Notice(kind, "something")) == event.id
    if isinstance(kind, FailureKind):
        assert event_for(Failure("something", kind)) == event.id
        assert event.level == ("warning" if kind is FailureKind.CALL_OVER else "error")
    else:
        assert event.level in ("warning", "info")


def test_the_names_of_failures_and_notices_differ() -> None:
    assert len({str(kind) for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("distance", list(Distance), ids=str)
def test_every_distance_leads_to_an_event(distance: Distance) -> None:
    assert RoundTrip(1, distance, "").event_id in CATALOGUE


@pytest.mark.parametrize("event", CATALOGUE.values(), ids=lambda event: event.id)
def test_an_entry_says_everything_in_whole_sentences(event: object) -> None:
    for field in ("description", "meaning", "remedy"):
        text = getattr(event, field)
        assert text[0].isupper(), field
        assert text.endswith("."), field
        assert "  " not in text, field
        assert "|" not in text, field  # it stands in a table
    name = event.name  # type: ignore[attr-defined]
    assert name[0].isupper()
    assert not name.endswith(".")


def test_what_an_entry_refers_to_exists() -> None:
    for event in CATALOGUE.values():
        for id_ in re.findall(r"AUDIOHOOK-\d{4}", event.remedy + event.meaning):
            assert id_ in CATALOGUE
            assert id_ != event.id
