#!/usr/bin/python3
"""Tests of results.py and of what reads the programs' output: no benchmark runs."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import memif_bench                                                         # noqa: E402
import micro                                                               # noqa: E402
import results                                                             # noqa: E402
import tls_bench                                                           # noqa: E402
from results import Result                                                 # noqa: E402

HERE = {"cpu": "X", "mhz": 2000, "cores": 2, "kernel": "6"}


def result(rate=1000.0, generator=0.5):
    made = Result("small", "Small ones", about=HERE, at="2026-01-01")
    made.add("64 B", {"requests/s": rate, "busy ns": 410.0}, generator)
    return made


class Table(unittest.TestCase):
    def test_a_rate_without_headroom_stands_in_brackets(self):
        self.assertEqual(result(generator=0.8).lines()[1], ["64 B", "1,000", "410.0", "80 %"])
        starved = result(generator=0.81)
        self.assertEqual(starved.lines()[1], ["64 B", "(1,000)", "410.0", "81 %"])
        self.assertIn("more than 80 %", "".join(starved.remarks()))
        self.assertEqual(result().remarks(), [])

    def test_what_makes_a_run_doubtful_is_noted(self):
        def one(overdue, share):
            return {"phases": {"run": {"overdue": overdue}}}, {"core_share": share}
        made = result()
        memif_bench.note_doubts(made, [one(0, 0.95), one(0, 1.0)])
        self.assertEqual(made.notes, [])
        memif_bench.note_doubts(made, [one(1200, 0.5), one(3, 1.0)])
        self.assertIn("1,203 requests were due and never begun", made.notes[0])
        self.assertIn("The worker had 50 % of its core", made.notes[1])

    def test_the_rate_of_bulk_is_of_the_run_alone(self):
        during = {"bytes": 10**9, "seconds": 4.0}
        run = {"phases": {"run": during, "finish": {"bytes": 10**8}}, "errors": {}}
        figures = memif_bench.bulk_figures(run, {"busy_ns": 2.2e9})
        self.assertAlmostEqual(figures["Gbit/s"], 2.0)
        self.assertAlmostEqual(figures["Gbit/s a busy core"], 4.0)
        self.assertAlmostEqual(figures["worker busy %"], 50.0)

    def test_a_clock_that_varies_makes_no_other_machine(self):
        stored = Result("small", "Small ones", about={**HERE, "mhz": 2400})
        self.assertNotIn("ANOTHER", result().compared(stored))
        stored.machine["cores"] = 4
        self.assertIn("ANOTHER", result().compared(stored))

    def test_rows_may_have_different_figures(self):
        made = result()
        made.add("other", {"bytes": 3})
        self.assertEqual(made.lines()[0], ["case", "requests/s", "busy ns", "bytes", "generator"])
        self.assertEqual(made.lines()[2], ["other", "-", "-", "3", "-"])

    def test_numbers_have_three_digits_or_more(self):
        for value, text in ((0, "0"), (1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"),
                            (None, "-"), (-1500, "-1,500")):
            self.assertEqual(results.number_text(value), text)

    def test_median_of_runs(self):
        self.assertEqual(results.median_of([{"a": 3}, {"a": 1}, {"a": 2}]), {"a": 2})


class Stored(unittest.TestCase):
    def test_what_was_written_is_read(self):
        with tempfile.TemporaryDirectory() as room:
            result().write(room)
            again = results.load_stored("small", room)
            self.assertIsNone(results.load_stored("bulk", room))
        self.assertEqual(again.to_json(), result().to_json())

    def test_comparison_is_by_case_and_figure(self):
        text = result(rate=500.0).compared(result())
        self.assertIn("x0.50", text)
        self.assertIn("x1.00", text)
        self.assertNotIn("ANOTHER", text)

    def test_comparison_tells_that_machines_differ(self):
        other = result()
        other.machine = {**HERE, "cores": 64}
        self.assertIn("ANOTHER machine", result().compared(other))


class Page(unittest.TestCase):
    PAGE = "before\n<!-- table:small -->\nold\n<!-- end:small -->\nafter\n"

    def test_only_what_is_between_the_markers_changes(self):
        once = results.fill_page(self.PAGE, {"small": result()})
        self.assertTrue(once.startswith("before\n<!-- table:small -->\n| case |"))
        self.assertTrue(once.endswith("\n<!-- end:small -->\nafter\n"))
        self.assertNotIn("old", once)
        self.assertEqual(results.fill_page(once, {"small": result()}), once)

    def test_a_result_without_a_place_is_an_error(self):
        with self.assertRaises(results.ResultError):
            results.fill_page("nothing", {"small": result()})

    def test_the_page_has_a_place_for_every_stored_result(self):
        names = [name.removesuffix(".json") for name in os.listdir(results.STORED)
                 if name.endswith(".json")] if os.path.isdir(results.STORED) else []
        with open(results.PAGE, encoding="utf-8") as file:
            page = file.read()
        for name in names:
            self.assertIn(f"<!-- table:{name} -->", page)


class Output(unittest.TestCase):
    def test_lines_of_cycles(self):
        text = ("-- checksums in software\n"
                "net_in   IPv4, bursts of 32      89.0 cycles a packet (best    79.6)\n"
                "DATA of   100 bytes relayed:    213.1 cycles a frame (best tenth    205.6)\n"
                "browser    parse, first     227 bytes    2342 cycles (best 2066)\n"
                "SYN by a cookie, IPv4     1027.1 cycles (best   527.4),  1.95 million a second\n")
        rows = dict(micro.cycle_rows(text))
        head = "checksums in software: "
        self.assertEqual(rows[head + "net_in IPv4, bursts of 32"], {"cycles": 89.0, "best": 79.6})
        self.assertEqual(rows[head + "DATA of 100 bytes relayed"]["cycles"], 213.1)
        self.assertEqual(rows[head + "browser parse, first 227 bytes"]["best"], 2066)
        self.assertEqual(rows[head + "SYN by a cookie, IPv4"]["best"], 527.4)

    def test_lines_of_the_table(self):
        text = ("                       threads     lead     join    leave   failed\n"
                "weir, batches of 8           2     70.2     70.7     59.8       12\n"
                "rte_hash / weir                    1.62     1.19     3.81\n")
        self.assertEqual(micro.table_rows(text), [("weir, batches of 8, 2 threads", {
            "lead ns": 70.2, "join ns": 70.7, "leave ns": 59.8, "failed": 12.0})])

    def test_lines_of_two_workers(self):
        text = ("-- not coalesced\n"
                "one alone         5000.0 cycles a request (best   4000.0)\n"
                "two planes        6000.0 cycles a request (best   4000.0)\n"
                "one plane         6300.0 cycles a request (best   4000.0)\n")
        (load, figures), = micro.two_rows(text)
        self.assertEqual((load, figures["one plane"]), ("not coalesced", 6300.0))
        self.assertAlmostEqual(figures["two planes / one alone"], 1.2)
        self.assertAlmostEqual(figures["one plane / two planes"], 1.05)


SPEED = """+H:16384
+F4:3:256:28092.156863:9525.806452
+F5:22:253:20125.423729:0.000050
+F:25:AES-128-GCM:3571384320.00
"""


class Floors(unittest.TestCase):
    def test_openssl_speed_is_read(self):
        self.assertEqual(tls_bench.speed_of(SPEED), {"sign": 28092.156863, "exchange": 20125.423729,
                                                     "bytes": 3571384320.0})


if __name__ == "__main__":
    unittest.main()
