"""Tokens: who gets one, how long it is good, what it allows, and how often."""

from __future__ import annotations

import pytest

from openaudiohook.monitor.api.errors import ApiError
from openaudiohook.monitor.api.tokens import MAX_TOKENS, Tokens
from openaudiohook.monitor.declared import SCOPES, ApiClient

pytestmark = pytest.mark.unit

SECOND = 10**9
HERE = "127.0.0.1"


class World:
    """A clock that is moved by hand, and the tokens that look at it."""

    def __init__(self, **settings: int) -> None:
        self.now_ns = 5 * SECOND
        everything = ApiClient(id="all", secret="a long secret text", organization_id="one")
        few = ApiClient(
            id="few",
            secret="another long secret",
            organization_id="two",
            scopes=frozenset({"routing", "integrations:readonly"}),
        )
        self.tokens = Tokens([everything, few], now_ns=lambda: self.now_ns, **settings)

    def login(self, id_: str = "all", secret: str = "a long secret text", **more: str) -> str:
        wanted = {"scope": None, "address": HERE, **more}
        return self.tokens.issue(id_, secret, **wanted).access_token  # type: ignore[arg-type]

    def refused(self, *args: str, **more: str) -> ApiError:
        with pytest.raises(ApiError) as caught:
            self.login(*args, **more)
        return caught.value

    def ask(self, token: str) -> ApiError | None:
        try:
            self.tokens.caller(f"Bearer {token}")
        except ApiError as error:
            return error
        return None


def test_a_token_says_whose_it_is_and_what_it_may() -> None:
    world = World()
    caller = world.tokens.caller(f"bearer {world.login()}")
    assert caller.organization_id == "one"
    assert caller.requester == "client:all"
    assert caller.scopes == frozenset(SCOPES)


def test_no_two_tokens_are_the_same() -> None:
    world = World()
    assert world.login() != world.login()


@pytest.mark.parametrize(
    ("id_", "secret"),
    [("all", "a wrong secret text"), ("nobody", "a long secret text"), ("", ""), ("all", "\udcff")],
)
def test_wrong_credentials_are_refused_alike(id_: str, secret: str) -> None:
    error = World().refused(id_, secret)
    assert (error.status, error.oauth) == (401, "invalid_client")
    assert error.message == "Invalid login credentials."


def test_too_many_failed_logins_from_one_address_have_to_wait() -> None:
    world = World()
    refusals = [world.refused("all", "wrong").status for _ in range(25)]
    assert refusals == [401] * 20 + [429] * 5
    error = world.refused()
    assert (error.status, error.headers) == (429, {"Retry-After": "1"})
    assert world.login(address="192.0.2.1")
    world.now_ns += SECOND
    assert world.login()


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer wrong", "Bearer é"]
)
def test_a_request_without_a_good_token_is_refused(authorization: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        World().tokens.caller(authorization)
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_expires() -> None:
    world = World(seconds=60)
    token = world.login()
    world.now_ns += 60 * SECOND - 1
    assert world.ask(token) is None
    world.now_ns += 1
    error = world.ask(token)
    assert error is not None
    assert error.status == 401


def test_the_oldest_token_of_a_client_gives_way_to_one_more() -> None:
    world = World()
    first, second = world.login(), world.login()
    for _ in range(MAX_TOKENS - 1):
        world.login()
    assert world.ask(first) is not None
    assert world.ask(second) is None


def test_more_requests_than_allowed_are_told_when_to_come_again() -> None:
    world = World(requests_per_minute=4)
    token, other = world.login(), world.login()
    assert [world.ask(token) for _ in range(4)] == [None] * 4
    error = world.ask(token)
    assert error is not None
    assert (error.status, error.headers) == (429, {"Retry-After": "15"})
    assert world.ask(other) is None, "each token has its own rate"
    world.now_ns += 15 * SECOND
    assert world.ask(token) is None
    assert world.ask(token) is not None


@pytest.mark.parametrize(
    "scope", ["nonsense", "integrations", "routing nonsense", "audits:readonly"]
)
def test_a_scope_that_is_unknown_or_not_the_clients_is_refused(scope: str) -> None:
    error = World().refused("few", "another long secret", scope=scope)
    assert (error.status, error.oauth) == (400, "invalid_scope")


@pytest.mark.parametrize(
    ("wanted", "scope", "only_read", "may"),
    [
        ("routing", "routing", False, True),
        ("routing", "routing", True, True),
        ("routing:readonly", "routing", True, True),
        ("routing:readonly", "routing", False, False),
        ("routing", "integrations", True, False),
        ("routing routing:readonly", "routing", False, True),
        (" ", "integrations", True, True),
        (" ", "integrations", False, False),
        (" ", "conversations", True, False),
    ],
)
def test_scopes_allow_what_they_say(wanted: str, scope: str, only_read: bool, may: bool) -> None:
    world = World()
    token = world.login("few", "another long secret", scope=wanted)
    assert world.tokens.caller(f"Bearer {token}").may(scope, only_read=only_read) is may
