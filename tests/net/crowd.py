"""tests/load/crowd in the clients' namespace: thousands of clients of one answer.

Environment: WEIR_CROWD, how many clients (1,000; 5,000 take four times as long).
"""
import os

from case import Skip, equal, expect
from edge_site import last_report, wait_until
from netlab import VIP4
from weir import BUILD

PROGRAM = os.path.join(BUILD, "tests", "load", "crowd")
MEMBERS = int(os.environ.get("WEIR_CROWD", "1000"))
STREAMS = 50                     # of a connection
INTERNAL_ERROR, CANCEL = "2", "8"


def open_exchanges(site):
    """Requests in progress, all workers together."""
    return sum(worker["open_exchanges"] for worker in site.proxy.ctl("worker", "list")["workers"])


class Crowd:
    """One run; reports what the members got when they are through."""

    def __init__(self, site, target, label="crowd", members=MEMBERS, address=VIP4, **numbers):
        if not os.path.exists(PROGRAM):
            raise Skip("tests/load/crowd was not built: libnghttp2-dev is missing")
        self.site, self.target, self.members = site, target, members
        numbers.setdefault("connections", -(-members // STREAMS))
        numbers.setdefault("timeout_s", 60 * site.slowness())
        self.process = site.lab.spawn(
            "clients", [PROGRAM, address, 80, target, f"members={members}",
                        *(f"{name}={value}" for name, value in numbers.items())], label)

    def said(self, line):
        return line in self.process.log().splitlines()

    def wait_for(self, line):
        """"asked", "begun" or "flowing": all members are so far."""
        wait_until(lambda: self.said(line) or not self.process.alive(), 60 * self.site.slowness(),
                   f'the crowd to say "{line}"')
        expect(self.said(line), f"the crowd ended first: {self.process.log_tail()[-2000:]}")

    def wait_subscribed(self, count=None):
        """Weir holds a request of each of them."""
        self.wait_for("asked")
        wait_until(lambda: open_exchanges(self.site) == (count or self.members),
                   30 * self.site.slowness(), "all requests to be in progress")

    def report(self):
        self.process.wait(90 * self.site.slowness())
        report = last_report(self.process.log(), self.process.log_tail(5))
        equal(report["corrupt"], 0, f"members with foreign or wrong bytes in {report}")
        equal(report["unfinished"] + report["lost"], 0, f"members without an end in {report}")
        return report


def where(site, target):
    """The backend that has the one request."""
    wait_until(lambda: site.counted(target) == 1, 20, "the request at a backend")
    return next(name for name in site.backends if site.counted(target, [name]))


def expect_all_complete(report, count):
    """Everybody else has left or is to be asked for by the case; lengths are those of one answer."""
    equal(report["complete"], count, f"complete answers in {report}")
    equal(len(report["lengths"]), 1, f"lengths of complete answers in {report}")
    equal(set(report["answered"]), {"200"}, "statuses")
