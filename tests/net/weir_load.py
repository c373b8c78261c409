#!/usr/bin/python3
"""Weir under weir-load, over memif: every mode, few seconds each. Needs no root.

What the client got, what Weir counted and what the origin saw has to be the same number.
Environment: WEIR_BUILD (the build directory).
"""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "load"))
from memif_site import DAEMON, LOAD, MemifSite, wait_until                  # noqa: E402

SKIPPED = 77
LIMITS = {"client_connections": 4096, "streams": 4096, "exchanges": 2048, "flights": 2048,
          "payload_bytes": "16MiB", "time_wait": 4096, "coalesce_keys": 4096}


class Load(unittest.TestCase):
    """One Weir for all cases."""

    @classmethod
    def setUpClass(cls):
        cls.site = MemifSite(limits=LIMITS)
        cls.addClassCleanup(cls.site.stop)
        cls.site.__enter__()

    def setUp(self):
        wait_until(self.settled, 20, "Weir to be idle")
        self.before = self.site.counters()

    def settled(self):
        return all(worker[name] == 0 for worker in self.site.gauges()
                   for name in ("open_clients", "open_exchanges", "open_flights"))

    def probes(self):
        """What the last probes of all backends came to."""
        return {entry["last_probe"] for entry in self.site.ctl("backend", "list")["backends"]}

    def grown(self, name):
        return self.site.counters()[name] - self.before[name]

    def expect_equal_counts(self, result, requests):
        self.assertEqual(result["status"], 0, result["table"])
        self.assertEqual(result["requests"], requests)
        self.assertEqual(sum(result["errors"].values()), 0)
        self.assertEqual(result["origin"]["requests"], requests)
        self.assertEqual(result["origin"]["answers"], requests)
        self.assertEqual(result["origin"]["corrupt"], 0)
        wait_until(self.settled, 20, "Weir to be idle")
        self.assertEqual(self.grown("request.finished"), requests)

    def test_requests_over_ipv4(self):
        result = self.site.load("--connections", 20, "--streams", 5, "--requests", 2000,
                                families=("v4",))
        self.expect_equal_counts(result, 2000)
        self.assertEqual(self.grown("tcp.connections_accepted"), 20)
        self.assertGreater(result["phases"]["run"]["latency_ns"]["p50"], 0)

    def test_requests_over_ipv6(self):
        self.expect_equal_counts(self.site.load("--connections", 20, "--streams", 5, "--requests",
                                                2000, families=("v6",)), 2000)

    def test_large_answers(self):
        result = self.site.load("--connections", 8, "--streams", 2, "--requests", 100,
                                "--body-bytes", 300000)
        self.expect_equal_counts(result, 100)
        self.assertEqual(result["origin"]["bytes_out"], 100 * 300000)

    def test_large_requests(self):
        result = self.site.load("--connections", 8, "--streams", 2, "--requests", 100,
                                "--request-bytes", 200001)
        self.expect_equal_counts(result, 100)
        self.assertEqual(result["origin"]["bytes_in"], 100 * 200001)

    def test_new_connections(self):
        result = self.site.load("--connections", 50, "--requests", 1000, "--new-connection")
        self.expect_equal_counts(result, 1000)
        self.assertEqual(result["connections"]["opened"], 1000)
        self.assertEqual(self.grown("tcp.connections_accepted"), 1000)

    def test_a_rate_is_kept(self):
        result = self.site.load("--connections", 10, "--rate", 500, "--duration", 2)
        self.assertEqual(result["status"], 0, result["table"])
        # A generator that is not run for a while ends a little late, and goes on at its rate.
        self.assertLessEqual(result["requests"], 500 * result["phases"]["run"]["seconds"] + 2)
        self.assertEqual(self.grown("request.finished"), result["requests"])

    def test_idle_connections_stay_while_requests_are_served(self):
        process = self.site.spawn("--connections", 4, "--idle", 2000, "--rate", 200, "--duration",
                                  3, "--baseline", 0.5)
        wait_until(lambda: sum(worker["open_clients"] for worker in self.site.gauges()) == 2004, 20,
                   "2004 connections")
        process.wait(60)
        result = self.site.result(process)
        self.assertEqual(result["idle"]["lost"], 0)
        self.assertEqual(result["connections"]["opened"], 2004)
        self.assertGreater(result["phases"]["baseline"]["requests"], 0)
        self.assertEqual(self.grown("request.finished"), result["requests"])

    def test_a_syn_flood_harms_nobody_who_is_connected(self):
        result = self.site.load("--connections", 100, "--requests", 2000, "--syn-flood", 20000,
                                "--syn-sources", "198.18.0.0/15", "--syn-sources", "2001:2::/48")
        self.expect_equal_counts(result, 2000)
        self.assertEqual(result["syn_flood"]["sent"], 20000)
        self.assertEqual(result["connections"]["lost"], 0)

    def test_client_and_origin_as_two_processes(self):
        wait_until(lambda: "ok" not in self.probes(), 20, "the origin before to be gone")
        origin = self.site.spawn("--duration", 60, role="origin", name="origin")
        self.addCleanup(origin.kill)
        wait_until(lambda: self.probes() == {"ok"}, 20, "the origin to be found")
        result = self.site.load("--connections", 10, "--requests", 500, role="client")
        origin.send_signal(signal.SIGTERM)
        origin.wait(30)
        seen = self.site.result(origin, "origin")
        self.assertEqual(result["requests"], 500)
        self.assertEqual(seen["origin"]["requests"], 500)

    def test_keys_after_zipf_and_sizes_by_weight(self):
        result = self.site.load("--connections", 10, "--streams", 4, "--requests", 2000, "--paths",
                                50, "--zipf", 0.99, "--body-bytes", "10:3,5000:1")
        self.expect_equal_counts(result, 2000)
        self.assertGreater(result["origin"]["bytes_out"], 2000 * 10)
        self.assertLess(result["origin"]["bytes_out"], 2000 * 5000)

    def test_answers_stream_events(self):
        result = self.site.load("--connections", 5, "--streams", 4, "--requests", 20, "--events", 6,
                                "--pace", 10)
        self.expect_equal_counts(result, 20)
        self.assertEqual(result["origin"]["bytes_out"], 20 * 6 * 1024)
        self.assertGreaterEqual(result["phases"]["run"]["seconds"], 0.5)

    def test_delays_are_seen_by_clients(self):
        result = self.site.load("--connections", 4, "--requests", 40, "--delay", 0.05,
                                "--delay-spread", 0.02)
        self.expect_equal_counts(result, 40)
        self.assertGreaterEqual(result["phases"]["run"]["latency_ns"]["min"], 50e6)

    def test_an_origin_fails_on_purpose(self):
        result = self.site.load("--connections", 10, "--requests", 1000, "--fail", 20, check=False)
        self.assertEqual(result["requests"] + result["errors"]["status"], 1000)
        self.assertGreater(result["origin"]["failures"], 0)
        self.assertEqual(result["errors"]["status"], result["origin"]["failures"])

    def test_resets_and_hangups_end_requests_once(self):
        result = self.site.load("--connections", 10, "--requests", 500, "--reset", 5, "--hangup", 1,
                                check=False)
        self.assertEqual(result["requests"] + sum(result["errors"].values()), 500)
        self.assertGreater(result["origin"]["failures"], 0)

    def test_new_connections_at_a_rate_count_from_when_they_were_due(self):
        result = self.site.load("--connections", 2, "--new-connection", "--rate", 400, "--duration",
                                1, "--delay", 0.02)
        # Two at a time of 20 ms each are 100 a second at most: the last waited for most of a second.
        self.assertEqual(result["status"], 0, result["table"])
        self.assertGreater(result["phases"]["run"]["overdue"], 100)
        self.assertGreater(result["phases"]["run"]["latency_ns"]["max"], 300e6)

    def test_wrong_answers_are_found(self):
        # The origin obeys the first size it sees: every answer is shorter than the client expects.
        result = self.site.load("--requests", 50, "--path", "/load?size=7&", check=False)
        self.assertEqual(result["status"], 1)
        self.assertFalse(result["ok"])
        self.assertEqual(result["errors"]["length"], 50)


if __name__ == "__main__":
    for program in (DAEMON, LOAD):
        if not os.path.exists(program):
            print(f"skipped, missing: {program}")
            sys.exit(SKIPPED)
    unittest.main(verbosity=2)
