"""A running edge site: the lab's namespaces with backends, Redis and a proxy in them.

Used by the test runner, the demonstration and the benchmark. The proxy is one of those in PROXIES.
"""
import json
import os
import signal
import sys

import netlab
from netlab import BACKENDS, REGIONS, VIP4, VIP6, Lab, LabError, wait_until

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUPPORT = os.path.join(TREE, "tests", "support")
sys.path.insert(0, SUPPORT)
import certificates                                                        # noqa: E402
PYTHON = "/usr/bin/python3"          # Debian's: python3-h2 belongs to it
BACKEND_PORT, BACKEND_TLS_PORT = 8080, 8443
# How backends are spoken to (WEIR_BACKENDS): the protocol, and whether over TLS; the same pages.
KINDS = {"h2": ("h2", False), "h1": ("h1", False), "tls": ("h2", True), "h1tls": ("h1", True)}
PROTOCOL, OVER_TLS = KINDS[os.environ.get("WEIR_BACKENDS", "h2")]
URL4, URL6 = f"http://{VIP4}", f"http://[{VIP6}]"


def tls_directory(lab):
    return os.path.join(lab.directory, "tls")


class Backend:
    """One test backend (tests/support/h2_backend.py, h1_backend.py) in its own namespace."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.region = next(region for region, names in REGIONS.items() if name in names)
        self.process = None

    def start(self):
        if self.process and self.process.alive():
            return
        argv = [PYTHON, os.path.join(SUPPORT, f"{PROTOCOL}_backend.py"), "--name", self.name,
                "--port", BACKEND_PORT]
        for address in BACKENDS[self.name]:
            argv += ["--address", address]
        if os.path.isdir(tls_directory(self.lab)):
            argv += ["--tls", BACKEND_TLS_PORT,
                     *(os.path.join(tls_directory(self.lab), "backend" + end)
                       for end in (".pem", ".key"))]
        self.process = self.lab.spawn(self.name, argv, self.name)

    def wait_ready(self):
        """It listens, and whatever a case has told it is undone."""
        wait_until(self.listening, 10, f"{self.name} to listen")

    def listening(self):
        if not self.process.alive():
            raise LabError(f"{self.name} ended: {self.process.log_tail()}")
        return self.ask("/set?health=200&delay_ms=0&connect=1", check=False).returncode == 0

    def ask(self, target, check=True):
        """A request from the backend's own host, past the proxy and its counters."""
        url = f"http://{BACKENDS[self.name][0]}:{BACKEND_PORT}{target}"
        return self.lab.run(self.name, ["curl", "-sS", "--max-time", "10",
                                        "--http1.1" if PROTOCOL == "h1" else
                                        "--http2-prior-knowledge", url], check=check)

    def counts(self):
        return json.loads(self.ask("/counts").stdout)

    def kill(self):
        """As when the host dies: no GOAWAY, the connections are gone."""
        self.process.kill()

    def goaway(self):
        self.process.signal(signal.SIGUSR1)


class Redis:
    """redis-server on the edge's loopback, without files."""

    def __init__(self, lab):
        self.lab, self.process = lab, None

    def start(self):
        if self.process and self.process.alive():
            return
        self.process = self.lab.spawn("edge", [
            "redis-server", "--port", 6379, "--bind", "127.0.0.1", "--save", "", "--appendonly",
            "no", "--dir", self.lab.directory], "redis")
        wait_until(lambda: self.cli("ping", check=False) == "PONG", 10, "redis-server to answer")

    def cli(self, *arguments, check=True):
        done = self.lab.run("edge", ["redis-cli", *arguments], check=check, timeout_s=10)
        return done.stdout.decode().strip()

    def stop(self):
        if self.process:
            self.process.kill()


class Site:
    """`proxy_class` is made with (site, workers) and offers what proxies.py describes."""

    def __init__(self, proxy_class, workers=1, prefix=None, directory=None):
        self.lab = Lab(prefix, queues=workers, directory=directory)
        self.workers = workers
        self.backends = {name: Backend(self.lab, name) for name in BACKENDS}
        self.redis = Redis(self.lab)
        self.proxy = proxy_class(self, workers)

    def __enter__(self):
        self.lab.build()
        try:
            self.start_all()
        except BaseException:
            self.lab.down(keep_directory=True)
            raise
        return self

    def __exit__(self, *exc):
        self.proxy.stop()
        self.lab.down()

    def start_all(self):
        """Brings every part that is not running (back) up: also between two test cases."""
        if not os.path.isdir(tls_directory(self.lab)):
            certificates.make(tls_directory(self.lab), (VIP4, VIP6),
                              [address for both in BACKENDS.values() for address in both])
        for name, backend in self.backends.items():
            self.lab.link(name, "up")
            backend.start()
        for backend in self.backends.values():
            backend.wait_ready()
        self.redis.start()
        if not self.proxy.alive():
            self.start_proxy()

    def start_proxy(self):
        self.proxy.start()
        wait_until(self.proxy_ready, 30 * self.slowness(), f"{self.proxy.name} to serve a page")

    def slowness(self):
        """Patience for builds with sanitizers."""
        return 4 if os.environ.get("WEIR_SANITIZED") else 1

    def proxy_ready(self):
        if not self.proxy.alive():
            raise LabError(f"{self.proxy.name} ended:\n{self.proxy.process.log_tail()}")
        return self.curl(URL4 + "/", "--max-time", "2", check=False).returncode == 0

    def fresh(self):
        """A new proxy with an empty store."""
        self.proxy.stop()
        self.redis.stop()
        self.redis.start()
        self.proxy.forget()
        self.start_all()

    # what the clients do
    def curl(self, url, *options, check=True):
        """HTTP/2 by prior knowledge; fails on a status of 400 or more."""
        return self.lab.run("clients", ["curl", "-sS", "-f", "--max-time", "60",
                                        "--http2-prior-knowledge", *options, url], check=check,
                            timeout_s=120)

    def client_argv(self, url, **options):
        argv = [PYTHON, os.path.join(SUPPORT, "h2_client.py"), url]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            for item in value if isinstance(value, (list, tuple)) else (value,):
                argv += [flag] if item is True else [flag, item]
        return argv

    def client(self, url, run_timeout_s=120, **options):
        """h2_client.py in the clients' namespace; returns its report."""
        argv = self.client_argv(url, **options)
        done = self.lab.run("clients", argv, check=False, timeout_s=run_timeout_s)
        return last_report(done.stdout.decode(), done.stderr.decode())

    def client_in_background(self, url, label, **options):
        return self.lab.spawn("clients", self.client_argv(url, **options), label)

    @staticmethod
    def report_of(client, timeout_s=30):
        """The report of a client started in background, after its end."""
        client.wait(timeout_s)
        return last_report(client.log(), client.log_tail(5))

    def h2load(self, *arguments, timeout_s=120):
        done = self.lab.run("clients", ["h2load", *arguments], timeout_s=timeout_s)
        return parse_h2load(done.stdout.decode())

    def h2load_in_background(self, label, *arguments):
        return self.lab.spawn("clients", ["h2load", *arguments], label)

    # what the backends saw
    def counted(self, target=None, names=None):
        """Requests that reached the backends: those for `target`, or all."""
        total = 0
        for name in names or self.backends:
            if self.backends[name].process.alive():
                requests = self.backends[name].counts()["requests"]
                total += sum(requests.values()) if target is None else requests.get(target, 0)
        return total

    def cancelled(self, target):
        """When requests for TARGET were reset at the backends, in order."""
        return sorted(moment for backend in self.backends.values()
                      for moment in backend.counts()["cancelled"].get(target, ()))

    def release(self):
        """Backends answer all requests for /held that they have now."""
        for backend in self.backends.values():
            if backend.process.alive():
                backend.ask("/release")

    def open_requests(self):
        return sum(backend.counts()["open"] for backend in self.backends.values())

    def reset_counts(self):
        for backend in self.backends.values():
            if backend.process.alive():
                backend.ask("/reset")


def last_report(text, otherwise):
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise LabError(f"the client gave no report: {otherwise[-2000:]}")


def parse_h2load(text):
    """{"total", "succeeded", "failed", "errored", "timeout", "2xx" ... "5xx", "rate", "text"}."""
    result = {"text": text}
    for line in text.splitlines():
        if line.startswith("requests:"):
            for part in line.removeprefix("requests:").split(","):
                number, word = part.split()
                result[word] = int(number)
        elif line.startswith("status codes:"):
            for part in line.removeprefix("status codes:").split(","):
                number, word = part.split()
                result[word] = int(number)
        elif line.startswith("finished in"):
            result["rate"] = float(line.split(",")[1].split()[0])
        elif line.startswith("time for request:"):
            result["mean"] = line.split()[5]
    if "total" not in result:
        raise LabError("h2load said nothing useful:\n" + text)
    return result


__all__ = ["Site", "Backend", "Redis", "URL4", "URL6", "TREE", "PYTHON", "SUPPORT", "netlab",
           "LabError", "wait_until", "parse_h2load"]
