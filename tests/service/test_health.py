"""Health: ok, degraded, draining; who is told which reasons."""

from __future__ import annotations

import json

import pytest

from openaudiohook.service.health import Health
from openaudiohook.service.metrics import Metrics
from openaudiohook.service.watch import Watch

pytestmark = pytest.mark.unit


def test_degraded_is_still_200_and_draining_is_503() -> None:
    health = Health()
    assert health.answer(sessions=2) == (200, b'{"status":"ok","sessions":2,"degraded":[]}')
    health.degraded("recorder", "", "recordings cannot be written: No space left on device")
    assert health.answer(sessions=0) == (
        200,
        b'{"status":"degraded","sessions":0,"degraded":["recorder"]}',
    )
    health.is_draining = True
    status, body = health.answer(sessions=0)
    assert (status, json.loads(body)["status"]) == (503, "draining")


def test_reasons_are_for_the_operator_only() -> None:
    health = Health()
    for scope in ("", "session"):
        health.degraded("recorder", scope, "disk full")
    assert b"disk" not in health.answer(sessions=0)[1]
    told = json.loads(health.answer(sessions=0, with_reasons=True)[1])
    assert told["degraded"] == {"recorder": ["disk full"]}


def test_a_consumer_is_healthy_when_its_last_trouble_is_gone() -> None:
    health = Health()
    assert health.degraded("a", "1", "x") is True
    assert health.degraded("a", "2", "x") is False
    assert health.healthy("a", "3") is False
    assert health.healthy("a", "1") is False
    assert health.status == "degraded"
    assert health.healthy("a", "2") is True
    assert health.healthy("a", "2") is False
    assert health.status == "ok"


def test_trouble_is_seen_in_health_and_metrics_until_it_is_over() -> None:
    health, metrics = Health(), Metrics()
    watch = Watch(health, metrics)

    def degraded() -> float | None:
        return metrics.registry.get_sample_value(
            "openaudiohook_service_consumers_degraded", {"consumer": "asr"}
        )

    status = watch.status_of("asr")
    status.degraded("model missing")
    watch.consumer_degraded("asr", "session", "slow")
    assert (health.status, degraded()) == ("degraded", 2)
    status.healthy()
    watch.consumer_healthy("asr", "session")
    assert (health.status, degraded()) == ("ok", 0)


def test_shed_audio_is_counted_in_seconds() -> None:
    metrics = Metrics()
    Watch(Health(), metrics).consumer_shed("asr", 12_000)
    assert b'openaudiohook_service_shed_seconds_total{consumer="asr"} 1.5' in metrics.text()
