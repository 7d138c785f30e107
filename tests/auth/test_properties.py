"""What holds for any input: nothing but `AuthError`, and nothing changed goes unnoticed."""

from __future__ import annotations

import contextlib
from typing import Any

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.signed import HEADERS, KEYS, NOW_NS, request, signed

from openaudiohook.auth import ExternalAddress, ReplayCache, VerificationPolicy, verify
from openaudiohook.auth.verification import member_text
from openaudiohook.exceptions import AuthError

pytestmark = pytest.mark.unit

strings = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
labels = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,6}", fullmatch=True)
bare_items = st.one_of(
    strings,
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.booleans(),
    st.binary(max_size=12),
    st.from_regex(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]{0,8}", fullmatch=True).map(http_sf.Token),
    st.text(max_size=8).map(http_sf.DisplayString),
)
parameters = st.dictionaries(labels, bare_items, max_size=3)
items = st.tuples(bare_items, parameters)
members = st.one_of(items, st.tuples(st.lists(items, max_size=3), parameters))
dictionaries = st.dictionaries(labels, members, min_size=1, max_size=4)


def parsed(text: str) -> Any:
    return http_sf.parse(text.encode("ascii"), tltype="dictionary")


@given(dictionaries, st.sampled_from([",", ", ", " ,\t", "\t,  "]))
def test_a_sliced_member_is_what_the_parser_takes_for_it(
    dictionary: dict[str, Any], comma: str
) -> None:
    texts = {label: http_sf.ser({label: member}) for label, member in dictionary.items()}
    header = comma.join(texts.values())
    for label, member in parsed(header).items():
        if "=" not in texts[label].partition(";")[0]:
            continue  # a bare true has no text of its own
        text = member_text(header, label)
        assert f"{label}={text}" == texts[label]
        assert parsed(f"{label}={text}") == {label: member}


@given(st.text(st.sampled_from('ab=1;, "\\%()?:@\t-'), max_size=40))
def test_any_header_that_parses_is_sliced_as_it_parses(header: str) -> None:
    seen: list[str] = []
    try:
        dictionary = http_sf.parse(
            header.encode(), tltype="dictionary", on_duplicate_key=lambda key, _: seen.append(key)
        )
    except ValueError:
        return
    if seen or not isinstance(dictionary, dict):
        return
    for label, member in dictionary.items():
        if isinstance(member, tuple) and member[0] is True:
            continue
        assert parsed(f"x={member_text(header, label)}") == {"x": member}


garbage = st.one_of(st.text(max_size=80), st.from_regex(r"sig1=.{0,60}"), st.just(""))
names = st.sampled_from(
    [*(name for name, _ in signed()), "X-Forwarded-Host", "Forwarded", "x-other"]
)
policies = st.sampled_from(
    [
        VerificationPolicy(),
        VerificationPolicy(external=ExternalAddress(trust="x-forwarded-host")),
        VerificationPolicy(external=ExternalAddress(trust="forwarded", path_prefix="/x")),
        VerificationPolicy(label="sig1"),
    ]
)


@given(st.lists(st.tuples(names, garbage), max_size=4), st.text(max_size=20), policies)
def test_garbage_is_refused_with_an_auth_error(
    extra: list[tuple[str, str]], target: str, policy: VerificationPolicy
) -> None:
    changed = {name.lower() for name, _ in extra}
    headers = [pair for pair in signed() if pair[0].lower() not in changed] + extra
    received = request(headers, target=target)
    with pytest.raises(AuthError):
        verify(received, keys=KEYS, utc_ns=NOW_NS, replay=ReplayCache(), policy=policy)


@given(st.data())
def test_a_damaged_character_is_never_accepted_as_another_request(data: st.DataObject) -> None:
    headers = list(signed())
    place = data.draw(st.integers(0, len(headers) - 2), label="header")
    name, value = headers[place]
    at = data.draw(st.integers(0, len(value) - 1), label="position")
    flipped = chr(ord(value[at]) ^ (1 << data.draw(st.integers(0, 6), label="bit")))
    headers[place] = (name, value[:at] + flipped + value[at + 1 :])
    outcome: Any = contextlib.nullcontext()
    # A host in another case is the same host, and a label is not signed.
    same_host = name == "Host" and flipped.lower() == value[at].lower()
    if not same_host:
        outcome = pytest.raises(AuthError)
    with outcome:
        verify(request(headers), keys=KEYS, utc_ns=NOW_NS, replay=None)


@given(st.lists(st.tuples(garbage, garbage), max_size=6))
def test_any_headers_at_all_are_refused_with_an_auth_error(
    headers: list[tuple[str, str]],
) -> None:
    with pytest.raises(AuthError):
        verify(request([*HEADERS[:1], *headers]), keys=KEYS, utc_ns=NOW_NS, replay=None)
