"""Figures for Prometheus: requests of this process; doubt, unended refunds and the event horizon of the database."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from moneyback.api.native import Endpoint
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
        for gauge in (self._refunds, self._doubt, self._doubt_age):
            gauge.clear()
        try:
            figures = await read()
        except StoreUnavailable:
            return generate_latest(self._registry)
        for row in figures.unended:
            self._refunds.labels(row.state, row.rail).set(row.count)
        for doubt in figures.doubt:
            self._doubt.labels(doubt.rail, doubt.currency).set(doubt.amount)
            self._doubt_age.labels(doubt.rail).set(doubt.age_s)
        self._horizon.set(figures.horizon_age_s)
        return generate_latest(self._registry)
