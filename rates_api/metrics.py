"""What Prometheus reads of one API process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_POOL = {
    "pool_size": "connections to the serving database",
    "pool_available": "of them, those that nobody uses",
    "requests_waiting": "requests that wait for a connection",
}


class Metrics:
    """stats: of the pool of connections, asked when Prometheus asks."""

    def __init__(self, stats: Callable[[], Mapping[str, int]]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "strandline_api_requests", "answers, by status", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "strandline_api_seconds", "from request to answer", ("route",), buckets=_BUCKETS, registry=self.registry
        )
        self.in_flight = Gauge("strandline_api_in_flight", "requests without an answer yet", registry=self.registry)
        self.registry.register(_Pool(stats))
        ProcessCollector(registry=self.registry)
        self._of: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """route: as it was declared, so that there are few."""
        known = method if method in _METHODS else "other"
        of = self._of.get((known, route, status))
        if of is None:
            of = self._requests.labels(known, route, str(status)), self._seconds.labels(route)
            self._of[known, route, status] = of
        of[0].inc()
        of[1].observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Pool(Collector):
    def __init__(self, stats: Callable[[], Mapping[str, int]]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[GaugeMetricFamily]:
        stats = self._stats()
        for name, what in _POOL.items():
            yield GaugeMetricFamily(f"strandline_api_{name}", what, stats.get(name, 0))
