"""weir-load's client against its own origin, without Weir between.

Over one memif pair (Direct): what the generator itself can do, its headroom. Client and origin are
two processes here, one on each core; as one process on one core they need the time of both.

Through a wire (Wire): the latency that is there without Weir. Client and origin are one process on
one core, as they are with Weir; on Weir's core a process passes packets from one memif to the other.
"""
import os
import signal
import subprocess
import tempfile

import hugepages
from memif_site import BUILD, LOAD, SOURCES4, TARGET4, SiteError, read_result, wait_until

PASS = os.path.join(BUILD, "tests", "load", "pass")
SIZE = "rsize=11"


def pages():
    """Options of the programs of a site. Asked before its first one takes some of the pages: all of
    them lie on the same kind."""
    return ("--huge",) if hugepages.are_there() else ()


class Direct:
    """with Direct() as direct: client, origin = direct.load("--connections", 8, ...)"""

    def __enter__(self):
        self.room = tempfile.TemporaryDirectory(prefix="weir-direct-")
        self.pages = pages()
        return self

    def __exit__(self, *exc):
        self.room.cleanup()

    def path(self, name):
        return os.path.join(self.room.name, name)

    def spawn(self, role, port, role_of_port, address, *options):
        device = (f"net_memif_{port},role={role_of_port},id=0,socket-abstract=no,"
                  f"socket={self.path('socket')},{SIZE}")
        argv = [LOAD, "--role", role, f"--{port}", device, f"--{port}-address", address, "--poll",
                "--json", self.path(role + ".json"), "--quiet", *self.pages, *map(str, options)]
        with open(self.path(role + ".log"), "wb") as log:
            return subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def load(self, *options, timeout_s=120):
        """The results of both; the options are the client's."""
        if os.path.exists(self.path("socket")):
            os.unlink(self.path("socket"))
        origin = self.spawn("origin", "back", "server", "10.9.0.80/16", "--listen", 80,
                            "--duration", timeout_s, "--cpu", 1)
        try:
            wait_until(lambda: os.path.exists(self.path("socket")) or origin.poll() is not None, 30,
                       "the origin")
            client = self.spawn("client", "front", "client", "10.9.0.1/16", "--target",
                                "10.9.0.80:80", "--sources", "10.9.1.1-10.9.1.64", "--cpu", 0,
                                *options)
            try:
                client.wait(timeout_s)
            finally:
                if client.poll() is None:
                    client.kill()
                    client.wait()
            origin.send_signal(signal.SIGTERM)
            origin.wait(30)
        except subprocess.TimeoutExpired:
            raise SiteError("weir-load against itself does not end") from None
        finally:
            if origin.poll() is None:
                origin.kill()
                origin.wait()
        return (read_result(client, self.path("client")), read_result(origin, self.path("origin")))


class Wire:
    """with Wire() as wire: result = wire.load("--connections", 8, ...)"""

    def __enter__(self):
        self.room = tempfile.TemporaryDirectory(prefix="weir-wire-")
        self.pages = pages()
        with open(self.path("pass.log"), "wb") as log:
            self.passing = subprocess.Popen(
                [PASS, self.device("front", "server"), self.device("back", "server"), "1",
                 *self.pages],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_until(self.is_up, 30, "the wire")
        except SiteError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.passing.terminate()
        self.passing.wait(30)
        self.room.cleanup()

    def path(self, name):
        return os.path.join(self.room.name, name)

    def device(self, port, role):
        return (f"net_memif_{port},role={role},id=0,socket-abstract=no,"
                f"socket={self.path(port)},{SIZE}")

    def is_up(self):
        if self.passing.poll() is not None:
            with open(self.path("pass.log"), encoding="utf-8", errors="replace") as log:
                raise SiteError(f"the wire ended with {self.passing.returncode}:\n{log.read()}")
        return os.path.exists(self.path("front")) and os.path.exists(self.path("back"))

    def load(self, *options, timeout_s=120):
        """What a target is in front, 10.8.0.81 is behind."""
        argv = [LOAD, "--role", "both", "--front", self.device("front", "client"),
                "--front-address", "10.9.0.1/16", "--target", TARGET4, "--sources", SOURCES4,
                "--back", self.device("back", "client"), "--back-address", "10.8.0.81/16",
                "--listen", "80", "--cpu", "0", "--poll", "--json", self.path("both.json"), "--quiet",
                *self.pages, *map(str, options)]
        with open(self.path("both.log"), "wb") as log:
            both = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            both.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise SiteError("weir-load through a wire does not end") from None
        finally:
            if both.poll() is None:
                both.kill()
                both.wait()
        return read_result(both, self.path("both"))


def busy_ns(result):
    """Time spent in turns that found something, of all phases: their share of the cycles, of the CPU
    time that there was."""
    return sum(phase["busy"] * phase["cpu_ns"] for phase in result["phases"].values())


def capacity(*options, origin_options=None):
    """Requests a second that client and origin could do together on one core, if nobody but
    themselves kept them waiting: the inverse of what one costs both. With ORIGIN_OPTIONS the origin's
    part is that of those requests: behind Weir it sees no new connections."""
    with Direct() as direct:
        client, origin = direct.load(*options)
        each = busy_ns(client) / client["requests"]
        if origin_options is not None:
            client, origin = direct.load(*origin_options)
    return 1e9 / (each + busy_ns(origin) / client["requests"])


def latency(*options):
    """{"p50": ns, ...}"""
    with Wire() as wire:
        return wire.load(*options)["phases"]["run"]["latency_ns"]
