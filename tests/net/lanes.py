"""Lanes that run cases side by side, each a process with a site of its own.

Most of a case's time is waiting, so that two lanes take half the time of one. They take the cases of
one list from its two ends: neither waits for the other, and a site is changed as rarely as can be.
"""
import dataclasses
import multiprocessing
import signal
import sys
import traceback

import figures
from runner import Runner

FORK = multiprocessing.get_context("fork")


@dataclasses.dataclass(frozen=True)
class Item:
    site_class: type
    workers: int
    case: object

    @property
    def place(self):
        return self.site_class, self.workers

    @property
    def title(self):
        return f"{self.case.group}.{self.case.name} [{self.workers} workers]"


class Ends:
    """Indices 0..count-1, each given once, to processes forked after this was made."""

    def __init__(self, count):
        self.lock = FORK.Lock()
        self.first = FORK.Value("i", 0, lock=False)
        self.last = FORK.Value("i", count - 1, lock=False)

    def take(self, from_the_end):
        with self.lock:
            if self.first.value > self.last.value:
                return None
            end, step = (self.last, -1) if from_the_end else (self.first, 1)
            index = end.value
            end.value += step
            return index


class Report:
    """What one lane has to say: printed case by case, counted, and handed over at the end."""

    def __init__(self, printing, second_runs):
        self.printing = printing
        self.second_runs = second_runs
        self.passed, self.failed, self.skipped = 0, [], 0
        self.unsteady_titles = []         # failed once, then passed

    def lines(self, first, text=""):
        with self.printing:
            print("\n".join([first, *(f"     {line}" for line in text.splitlines())]), flush=True)

    def case(self, verdict, title, seconds, text):
        if verdict == "ok":
            self.passed += 1
        elif verdict == "skip":
            self.skipped += 1
        else:
            self.failed.append(title)
        self.lines(f"{verdict:4} {title} ({seconds:.1f} s)", text)

    def may_run_again(self):
        with self.printing:
            self.second_runs.value -= 1
            return self.second_runs.value >= 0

    def unsteady(self, title):
        self.unsteady_titles.append(title)

    def result(self):
        return self.passed, self.failed, self.skipped, self.unsteady_titles, figures.ROWS


class Lanes:
    """run() is true when all cases that ran have passed, and any did."""

    def __init__(self, proxy_class, items, lanes, second_runs):
        self.proxy_class = proxy_class
        self.items = items
        self.lanes = lanes
        self.ends = Ends(len(items))
        self.printing = FORK.Lock()
        self.second_runs = FORK.Value("i", second_runs, lock=False)

    def run(self):
        pipes, processes = [], []
        for number in range(self.lanes):
            here, there = FORK.Pipe(duplex=False)
            process = FORK.Process(target=self.lane, args=(number, there), daemon=True)
            process.start()
            there.close()
            pipes.append(here)
            processes.append(process)
        good = self.summary([self.hear(pipe) for pipe in pipes])
        for process in processes:
            process.join()
        return good

    def lane(self, number, pipe):
        # A terminated lane takes its namespaces along; a killed one leaves them to the next run.
        signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(143))
        report = Report(self.printing, self.second_runs)
        try:
            with Runner(self.proxy_class, report) as runner:
                while (index := self.ends.take(number == 1)) is not None:
                    runner.run(self.items[index])
        except Exception:
            report.case("FAIL", f"lane {number}", 0, traceback.format_exc())
        pipe.send(report.result())

    @staticmethod
    def hear(pipe):
        try:
            return pipe.recv()
        except EOFError:
            return 0, ["a lane that ended before its cases"], 0, [], []

    @staticmethod
    def summary(results):
        passed = sum(result[0] for result in results)
        failed = [title for result in results for title in result[1]]
        skipped = sum(result[2] for result in results)
        for result in results:
            for title in result[3]:
                print(f"unsteady: {title}: failed once, see above")
            figures.ROWS.extend(result[4])
        for title in failed:
            print(f"failed: {title}")
        print(f"{passed} passed, {len(failed)} failed, {skipped} skipped", flush=True)
        return not failed and passed > 0
