"""Declaring test cases of tests/net, and what they say when they fail."""
import dataclasses

CASES = []


class Failed(Exception):
    """The proxy did not do what the case expects."""


class Skip(Exception):
    """The case cannot say anything here; the text says what is missing."""


@dataclasses.dataclass(frozen=True)
class Case:
    run: object
    group: str
    needs: frozenset
    fresh: bool
    workers: tuple
    timeout_s: int
    site: str

    @property
    def name(self):
        return self.run.__name__


def case(needs=(), fresh=False, workers=(1, 2, 4), timeout_s=120, site="edge"):
    """Registers a function(site) as a case.

    needs    features the proxy must have (proxies declare theirs), else the case is skipped
    fresh    the proxy is restarted with an empty store before and after it
    workers  numbers of workers it says something about
    site     where it runs: "edge" (edge_site.py), or "cluster" (cluster_site.py: three nodes)
    """
    def register(function):
        group = function.__module__.rsplit(".", 1)[-1]
        CASES.append(Case(function, group, frozenset(needs), fresh, tuple(workers), timeout_s,
                          site))
        return function
    return register


def expect(condition, what):
    if not condition:
        raise Failed(what)


def equal(found, expected, what):
    if found != expected:
        raise Failed(f"{what}: {found!r}, expected {expected!r}")


def all_ok(report, total):
    """Every request of an h2_client.py report ended as it should."""
    if report["ok"] != total:
        raise Failed(f"{report['ok']} of {total} requests ok; statuses {report['statuses']}, "
                     f"resets {report['resets']}: {report['errors']}")


def one_body(report):
    if len(report["bodies"]) != 1:
        raise Failed(f"{len(report['bodies'])} different bodies, expected one")
