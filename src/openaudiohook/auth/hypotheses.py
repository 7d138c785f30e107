"""Which cause gives the signature that came: a table of hypotheses, and the search.

A signature does not show what was signed. But the mistakes that happen are few, so each
row of `HYPOTHESES` says what a signer may have used instead, and `find_cause` computes
which of them, alone or two together, reproduces the signature.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations

from openaudiohook.auth.changes import (
    Change,
    Evidence,
    Lines,
    Shape,
    api_key_as_secret,
    guessed_paths,
    host_as_written,
    ids_in_other_case,
    in_documented_order,
    key_id,
    labelled,
    other_hosts,
    other_targets,
    reserialized,
    respelt,
    shortened,
    spelt,
    swapped_ids,
    trailing_slash,
    undecoded,
    unquoted,
    well_formed,
    whole_uri,
    with_default_port,
    with_line_feed,
    with_method,
    without_params,
    without_port,
    without_query,
    without_spaces,
)

__all__ = ["GUESSED_PATH", "HYPOTHESES", "Found", "Hypothesis", "find_cause"]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A kind of mistake.

    Attributes:
        aspect: what it touches; two of the same aspect are not tried together.
        cause: what happened, as a sentence; `{}` stands for the value the signer used.
        remedy: what to do about it, as a sentence.
        changes: what to try, from the evidence.
    """

    aspect: str
    cause: str
    remedy: str
    changes: Callable[[Evidence], Iterable[Change]]


@dataclass(frozen=True, slots=True)
class Found:
    """A combination that reproduces the signature: the causes, and what was signed."""

    causes: tuple[tuple[Hypothesis, Change], ...]
    base: str
    secret: bytes = field(repr=False)


def find_cause(evidence: Evidence) -> Found | None:
    """Return the simplest known cause that reproduces the signature, or None."""
    singles = [(row, change) for row in HYPOTHESES for change in row.changes(evidence)]
    pairs = (
        (one, other) for one, other in combinations(singles, 2) if one[0].aspect != other[0].aspect
    )
    guesses = ((GUESSED_PATH, change) for change in GUESSED_PATH.changes(evidence))
    lines = evidence.lines
    for causes in (*((single,) for single in singles), *pairs):
        found = _try(evidence, lines, causes)
        if found:
            return found
    return next(filter(None, (_try(evidence, lines, (guess,)) for guess in guesses)), None)


def _try(
    evidence: Evidence, lines: Lines, causes: tuple[tuple[Hypothesis, Change], ...]
) -> Found | None:
    values: dict[str, str] = {}
    secret = evidence.secret
    shape: Shape = well_formed
    for _, change in causes:
        values.update(change.values)
        secret = secret if change.secret is None else change.secret
        shape = change.shape or shape
    base = shape(
        [(name, values.get(name, value)) for name, value in lines], evidence.signature.text
    )
    if hmac.compare_digest(_mac(secret, base), evidence.signature.value):
        return Found(causes=causes, base=base, secret=secret)
    return None


def _mac(secret: bytes, base: str) -> bytes:
    return hmac.digest(secret, base.encode("utf-8"), "sha256")


HYPOTHESES: tuple[Hypothesis, ...] = (
    Hypothesis(
        "key",
        "the client secret was used as text, without base64-decoding it",
        "Decode the secret from base64 and use the resulting octets as the HMAC key.",
        undecoded,
    ),
    Hypothesis(
        "key",
        "a line feed was left at the end of the client secret",
        "Strip the line end when reading the secret from a file, then decode it.",
        with_line_feed,
    ),
    Hypothesis(
        "key",
        "the API key was used as the HMAC key",
        "Use the decoded client secret; the API key only names it.",
        api_key_as_secret,
    ),
    Hypothesis(
        "authority",
        "the host is not the one that was signed, which is {}: "
        "it was rewritten on the way, or the URI is another",
        "Let the proxy pass Host on unchanged, or set {} as the external authority.",
        other_hosts,
    ),
    Hypothesis(
        "authority",
        "the signer wrote the default port: {}",
        "Leave :443 out of @authority for wss, and :80 for ws.",
        with_default_port,
    ),
    Hypothesis(
        "authority",
        "the signer left the port out: {}",
        "Sign host:port wherever the port is not the default of the scheme; "
        "behind a proxy, set {} as the external authority.",
        without_port,
    ),
    Hypothesis(
        "authority",
        "the signer did not write the host in lower case: {}",
        "Write @authority in lower case, without the default port.",
        host_as_written,
    ),
    Hypothesis(
        "target",
        "the path is not the one that was signed, which is {}: "
        "it was rewritten on the way, or the URI is another",
        "Let the proxy pass the path on unchanged, or set what it cuts off as the path prefix.",
        other_targets,
    ),
    Hypothesis(
        "target",
        "the paths differ in a trailing slash: {} was signed",
        "Write the path the same way in the integration and at the server.",
        trailing_slash,
    ),
    Hypothesis(
        "target",
        "the paths differ in the query: {} was signed",
        "Sign path and query exactly as they stand in the request line.",
        without_query,
    ),
    Hypothesis(
        "target",
        "the signer's path is a part of ours: {} was signed",
        "Find what adds to the path on the way, and verify with the path that was signed.",
        shortened,
    ),
    Hypothesis(
        "target",
        "the path is encoded otherwise: {} was signed",
        "Take the path from the request line as it is; neither decode nor encode it.",
        respelt,
    ),
    Hypothesis(
        "target",
        "the signer put the method into @request-target: {}",
        "Write path and query only: @request-target holds no method.",
        with_method,
    ),
    Hypothesis(
        "target",
        "the signer put the whole URI into @request-target: {}",
        "Write path and query only: @request-target holds no scheme and no host.",
        whole_uri,
    ),
    Hypothesis(
        "ids",
        "the values of the id headers are exchanged",
        "Send organization, session and correlation id each in the header of its own name.",
        swapped_ids,
    ),
    Hypothesis(
        "ids",
        "the ids were signed in another case than they were sent",
        "Sign header values exactly as they are sent.",
        ids_in_other_case,
    ),
    Hypothesis(
        "api-key",
        "another API key was signed than was sent",
        "Send the key that keyid names in X-API-KEY.",
        key_id,
    ),
    Hypothesis(
        "form",
        "the signer ended the base with a line end, or used CR LF",
        "Join the lines with a single LF, and write none after the last.",
        spelt(
            lambda lines, params: well_formed(lines, params) + "\n",
            lambda lines, params: well_formed(lines, params).replace("\n", "\r\n"),
        ),
    ),
    Hypothesis(
        "form",
        "the signer left out the last line, @signature-params",
        "End the base with @signature-params and what follows the label in Signature-Input.",
        spelt(without_params, lambda lines, params: without_params(lines, params) + "\n"),
    ),
    Hypothesis(
        "form",
        "the signer put the label into the last line",
        "Write only what follows `label=` in Signature-Input.",
        labelled,
    ),
    Hypothesis(
        "form",
        "the signer wrote the parameters one way and sent them another",
        "Use the same text for @signature-params and for Signature-Input.",
        spelt(reserialized),
    ),
    Hypothesis(
        "form",
        "the signer wrote the names of the components without quotes",
        'Write each line as "name": value, with the quotes.',
        spelt(unquoted),
    ),
    Hypothesis(
        "form",
        "the signer wrote no space after the colon",
        'Write each line as "name": value, with one space.',
        spelt(without_spaces),
    ),
    Hypothesis(
        "form",
        "the signer's lines are in another order than Signature-Input says",
        "Write the lines in the order in which Signature-Input lists the components.",
        spelt(in_documented_order),
    ),
)
"""Every known cause, the likeliest first."""

GUESSED_PATH = Hypothesis(
    "target",
    "the path is not the one that was signed, which is {}",
    "Serve the path that the integration's URI has, or correct the URI.",
    guessed_paths,
)
"""The last resort, tried when nothing else fits: paths near ours, and paths in common use."""
