"""Figures for Prometheus: requests of this process; doubt, unended refunds and the event horizon of the database."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from moneyback.api.native import Endpoint
from moneyback.flows.world import Rail
from moneyback.store.figures import Figures
from moneyback.store.port import StoreUnavailable


class Metrics:
    """One process's metrics, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "moneyback_request_seconds",
            "Time to answer a request of the native API.",
            ["operation"],
            registry=self._registry,
        )
        self._refunds = Gauge(
            "moneyback_refunds_unended", "Refunds that have not ended.", ["state", "rail"], registry=self._registry
        )
        self._doubt = Gauge(
            "moneyback_doubt_amount_minor",
            "Money whose outcome is unknown, in minor units.",
            ["rail", "currency"],
            registry=self._registry,
        )
        self._doubt_age = Gauge(
            "moneyback_doubt_age_seconds", "Age of the oldest doubt.", ["rail"], registry=self._registry
        )
        self._horizon = Gauge(
            "moneyback_event_horizon_age_seconds",
            "Age of the oldest running transaction: events behind it are not shown yet.",
            registry=self._registry,
        )

        self._count = Gauge(
            "moneyback_doubt_refunds", "Refunds whose outcome is unknown.", ["rail"], registry=self._registry
        )
        self._next = Gauge(
            "moneyback_doubt_next_look_seconds",
            "Seconds until a provider is next asked about a doubt; below zero, a look is late.",
            ["rail"],
            registry=self._registry,
        )
        self._findings = Gauge(
            "moneyback_findings_open",
            "Differences between providers' lists and our books that nobody has settled.",
            ["rail", "kind"],
            registry=self._registry,
        )
        self._look_only = Gauge(
            "moneyback_rail_look_only", "Rails that only look since a restore.", ["rail"], registry=self._registry
        )
        self._told = Counter(
            "moneyback_notifications",
            "Notifications by what came of them.",
            ["rail", "outcome"],
            registry=self._registry,
        )

        self._open = Gauge(
            "moneyback_rail_open",
            "Whether a rail's breaker is open in this process (1): nothing is sent over it, but for a trial.",
            ["rail", "account"],
            registry=self._registry,
        )

    def rails(self, rails: Iterable[Rail]) -> None:
        """Takes down which rails are sent over, as this process has found out."""
        self._open.clear()
        for rail in rails:
            if rail.breaker is not None:
                self._open.labels(rail.name, rail.account).set(rail.breaker.why is not None)

    def told(self, rail: str, outcome: str) -> None:
        """Counts a notification that reached a rail's address."""
        self._told.labels(rail, outcome).inc()

    @contextmanager
    def timed(self, endpoint: Endpoint) -> Iterator[None]:
        """Measures one request."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._requests.labels(endpoint.handle.__name__).observe(time.perf_counter() - began)

    async def text(self, read: Callable[[], Awaitable[Figures]]) -> bytes:
        """All figures as Prometheus reads them; those of the database are left out while it is away."""
        for gauge in (
            *(self._refunds, self._doubt, self._doubt_age, self._count, self._next),
            *(self._findings, self._look_only),
        ):
            gauge.clear()
        try:
            figures = await read()
        except StoreUnavailable:
            return generate_latest(self._registry)
        for row in figures.unended:
            self._refunds.labels(row.state, row.rail).set(row.count)
        for doubt in figures.doubt:
            self._doubt.labels(doubt.rail, doubt.currency).set(doubt.amount)
        for rail in {doubt.rail for doubt in figures.doubt}:
            own = [doubt for doubt in figures.doubt if doubt.rail == rail]
            self._doubt_age.labels(rail).set(max(doubt.age_s for doubt in own))
            self._count.labels(rail).set(sum(doubt.count for doubt in own))
            if waits := [doubt.next_look_s for doubt in own if doubt.next_look_s is not None]:
                self._next.labels(rail).set(min(waits))
        for found in figures.findings:
            self._findings.labels(found.rail, found.kind).set(found.count)
        for name in figures.look_only:
            self._look_only.labels(name).inc()
        self._horizon.set(figures.horizon_age_s)
        return generate_latest(self._registry)
