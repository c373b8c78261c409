"""Runs cases one after the other on a site of its own: each with the site whole before it."""
import signal
import time
import traceback

from case import Failed, Skip
from netlab import LabError, wait_until


class TookTooLong(Exception):
    pass


def on_alarm(signum, frame):
    raise TookTooLong


class Runner:
    """One lane. `report` (lanes.py) hears of every case; it may allow a second run.

    Cases that follow each other with the same site and number of workers share the site.
    """

    def __init__(self, proxy_class, report):
        self.proxy_class = proxy_class
        self.report = report
        self.site, self.place = None, None
        signal.signal(signal.SIGALRM, on_alarm)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.leave_site()

    def run(self, item):
        try:
            self.enter_site(item)
        except LabError as error:
            self.report.case("FAIL", item.title, 0, f"no site: {error}")
            return
        self.run_one(item.case, item.title)

    def enter_site(self, item):
        if self.site is not None and self.place == item.place:
            return
        self.leave_site()
        site = item.site_class(self.proxy_class, item.workers)
        site.__enter__()
        self.site, self.place = site, item.place

    def leave_site(self):
        if self.site is not None:
            site, self.site = self.site, None
            site.__exit__(None, None, None)

    def run_one(self, case, title):
        missing = case.needs - self.site.proxy.features
        if missing:
            self.report.case("skip", title, 0,
                             f"{self.site.proxy.name} has no {', '.join(sorted(missing))}")
            return
        started = time.monotonic()
        verdict, text = self.attempt(case)
        complaints = self.site.proxy.complaints()
        died = bool(complaints) or (self.site.proxy.process is not None
                                    and not self.site.proxy.alive())
        if complaints and verdict == "ok":
            verdict, text = "FAIL", complaints
        if verdict == "FAIL":
            text += self.evidence()
        if verdict == "FAIL" and not died and self.report.may_run_again():
            self.recover()
            verdict, text = self.second_run(case, title, text)
        self.report.case(verdict, title, time.monotonic() - started, text)
        if verdict == "FAIL":
            self.recover()

    def second_run(self, case, title, first):
        """On a busy machine a case may miss its moment. It is told, counted and bounded."""
        self.report.lines(f"FAIL {title}, once more:", first)
        verdict, text = self.attempt(case)
        complaints = self.site.proxy.complaints()
        if verdict != "ok" or complaints:
            return "FAIL", (complaints or text) + self.evidence()
        self.report.unsteady(title)
        return "ok", ""

    def attempt(self, case):
        """One case with the site whole before it; a proxy that died during it fails it."""
        site = self.site
        signal.alarm(case.timeout_s * site.slowness())
        try:
            site.fresh() if case.fresh else site.start_all()
            site.reset_counts()
            case.run(site)
            self.expect_settled()
            if case.fresh:
                site.fresh()
            elif not site.proxy.alive():
                raise Failed(f"{site.proxy.name} ended with {site.proxy.process.popen.returncode}")
            return "ok", ""
        except Skip as reason:
            return "skip", str(reason)
        except (Failed, LabError) as error:
            return "FAIL", str(error)
        except TookTooLong:
            return "FAIL", f"no end after {case.timeout_s} s\n{traceback.format_exc(limit=-4)}"
        except Exception:                 # a mistake in the case: this one fails, others go on
            return "FAIL", traceback.format_exc()
        finally:
            signal.alarm(0)

    def expect_settled(self):
        """When the clients have gone, so has all that was done for them: nothing leaks."""
        site = self.site
        settled = getattr(site.proxy, "settled", None)
        if settled and site.proxy.alive():
            wait_until(settled, 20 * site.slowness(), "the clients' requests and flights to be gone")

    def evidence(self):
        proxy = self.site.proxy
        if proxy.process is None:
            return ""
        return f"\n--- last words of {proxy.name}\n{proxy.process.log_tail(25)}"

    def recover(self):
        """After a failure the next case starts with a new proxy."""
        try:
            self.site.fresh()
        except LabError as error:
            self.report.lines(f"     the site does not come back: {error}")
