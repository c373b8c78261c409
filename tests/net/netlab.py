#!/usr/bin/python3
"""A small edge site made of network namespaces, for tests and the demonstration.

    clients ---- front [edge] back ---- fabric (a bridge) ---- eu-1, eu-2, us-1, us-2

`edge` is the host Weir runs on. Its kernel owns 10.0.0.2 on `front` and 10.1.0.2 on `back`;
Weir owns the VIPs (VIP4, VIP6) on `front` and BACK4, BACK6 on `back`. None of those is assigned
to the host: if Weir does not answer for them, nobody does.

Namespaces are called PREFIX-name. A lab holds a lock while its process lives, so that what a
killed run left behind is told from what a running one uses, and the next run removes it.

As a command:  netlab.py sweep    removes what killed runs left behind
"""
import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LOCK_DIR = "/run/lock/weir-lab"

VIP4, VIP6 = "10.0.0.80", "fd00:a::80"
CLIENT4, CLIENT6 = "10.0.0.1", "fd00:a::1"
HOST4, HOST6 = "10.0.0.2", "fd00:a::2"          # the edge's own addresses: the kernel keeps them
BACK4, BACK6 = "10.1.0.10", "fd00:b::10"        # Weir's addresses towards the backends
HOST_BACK4, HOST_BACK6 = "10.1.0.2", "fd00:b::2"

# name -> (IPv4, IPv6) on the fabric, both on one segment (/16 and /64).
BACKENDS = {
    "eu-1": ("10.1.1.1", "fd00:b::1:1"),
    "eu-2": ("10.1.1.2", "fd00:b::1:2"),
    "us-1": ("10.1.2.1", "fd00:b::2:1"),
    "us-2": ("10.1.2.2", "fd00:b::2:2"),
}
REGIONS = {"eu": ("eu-1", "eu-2"), "us": ("us-1", "us-2")}

CLONE_NEWNET = 0x40000000              # sched.h


class LabError(Exception):
    """The lab could not be made, or a process in it did not do what was asked."""


@contextlib.contextmanager
def inside(lab, name):
    """Sockets that this thread makes here belong to the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", encoding="ascii") as home, \
            open(f"/run/netns/{lab.ns(name)}", encoding="ascii") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


def wait_until(condition, timeout_s, what):
    """Polls `condition` until it is true and returns its value; LabError(what) after timeout_s."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"waited {timeout_s:g} s in vain for: {what}")
        time.sleep(0.02)


def command(*argv, check=True):
    """Runs a short command and returns its standard output."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def namespaces(prefix):
    """Names of the existing namespaces of one lab."""
    lines = command("ip", "netns", "list").splitlines()
    return [line.split()[0] for line in lines if line.startswith(prefix + "-")]


def namespace_pids(name):
    return [int(pid) for pid in command("ip", "netns", "pids", name, check=False).split()]


def remove(prefix):
    """Ends every process inside the lab's namespaces, then removes the namespaces."""
    for name in namespaces(prefix):
        for signum, patience_s in ((signal.SIGTERM, 2), (signal.SIGKILL, 5)):
            for pid in namespace_pids(name):
                try:
                    os.kill(pid, signum)
                except ProcessLookupError:
                    pass
            try:
                wait_until(lambda name=name: not namespace_pids(name), patience_s, name)
                break
            except LabError:
                continue
        command("ip", "netns", "del", name, check=False)


def sweep():
    """Removes the labs whose process is gone. A lab in use is left alone."""
    os.makedirs(LOCK_DIR, exist_ok=True)
    for entry in sorted(os.listdir(LOCK_DIR)):
        path = os.path.join(LOCK_DIR, entry)
        lock = try_lock(path)
        if lock is None:
            continue
        prefix = entry.removesuffix(".lock")
        with open(path, encoding="utf-8") as file:
            directory = file.read().strip()
        remove(prefix)
        if directory and os.path.basename(directory).startswith("weir-"):
            shutil.rmtree(directory, ignore_errors=True)
        os.unlink(path)
        os.close(lock)


def try_lock(path):
    """A locked descriptor, or None when another process holds the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


class Process:
    """A process in a namespace with its output in a file."""

    def __init__(self, name, popen, log_path):
        self.name, self.popen, self.log_path = name, popen, log_path

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def signal(self, signum):
        if self.alive():
            self.popen.send_signal(signum)

    def wait(self, timeout_s):
        """The exit status (negative: the signal that ended it)."""
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} is still running after {timeout_s:g} s") from None

    def stop(self, timeout_s=5):
        """SIGTERM, then SIGKILL."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.popen.wait(5)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_tail(self, lines=30):
        return "\n".join(self.log().splitlines()[-lines:])


class Lab:
    """The namespaces, from build() to down(). `queues`: RX and TX queues of the edge's ports.
    `line`: clients and edge are not joined directly, but by two interfaces of the namespace "line",
    "clients" and "edge"; spoil() forwards between them."""

    def __init__(self, prefix=None, queues=1, directory=None, line=False):
        self.prefix = prefix or f"{os.environ.get('WEIR_LAB', 'weir-net')}-{os.getpid()}"
        self.queues = queues
        self.line = line
        self.directory = directory
        self.processes = []
        self.lock = None

    def __enter__(self):
        return self.build()

    def __exit__(self, *exc):
        self.down()

    def ns(self, name):
        return f"{self.prefix}-{name}"

    def build(self):
        sweep()
        lock_path = os.path.join(LOCK_DIR, self.prefix + ".lock")
        self.lock = try_lock(lock_path)
        if self.lock is None:
            raise LabError(f"{self.prefix} is already running")
        remove(self.prefix)
        if self.directory is None:
            self.directory = tempfile.mkdtemp(prefix="weir-lab-")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
            os.makedirs(self.directory)
        with open(lock_path, "w", encoding="utf-8") as file:
            file.write(self.directory)
        self._topology()
        return self

    def _topology(self):
        for name in ("clients", "edge", "fabric", *BACKENDS):
            self._add_namespace(name)
        self._add_bridge()
        if self.line:
            self._add_namespace("line")
            self._link("edge", "front", "line", "edge")
            self._link("clients", "eth0", "line", "clients")
        else:
            self._link("edge", "front", "clients", "eth0")
        self._join("edge", "back", self.queues)
        for name in BACKENDS:
            self._join(name, "eth0")
        self._addresses()

    def down(self, keep_directory=False):
        """Ends all processes, removes the namespaces and the lab's files."""
        for process in reversed(self.processes):
            process.stop()
        remove(self.prefix)
        if not keep_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self.lock is not None:
            os.unlink(os.path.join(LOCK_DIR, self.prefix + ".lock"))
            os.close(self.lock)
            self.lock = None

    def _ip(self, name, arguments):
        command("ip", "-n", self.ns(name), *arguments.split())

    def _add_namespace(self, name):
        command("ip", "netns", "add", self.ns(name))
        # Duplicate address detection would keep IPv6 addresses unusable for a second or two.
        command("ip", "netns", "exec", self.ns(name), "sysctl", "-qw",
                "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0",
                "net.ipv4.ip_local_port_range=10000 65000")
        self._ip(name, "link set lo up")

    def _add_bridge(self):
        self._ip("fabric", "link add br0 type bridge forward_delay 0 mcast_snooping 0")
        self._ip("fabric", "link set br0 up")

    def _link(self, left, left_if, right, right_if, queues=None):
        queues = queues or self.queues
        counts = f"numtxqueues {queues} numrxqueues {queues}"
        command("ip", "link", "add", left_if, "netns", self.ns(left), *counts.split(), "type",
                "veth", "peer", "name", right_if, "netns", self.ns(right), *counts.split())
        for name, interface in ((left, left_if), (right, right_if)):
            # Between veth ends a checksum is normally never computed, and segments of 64 KiB pass
            # unsplit. A program that reads frames itself needs what a wire would carry.
            command("ip", "netns", "exec", self.ns(name), "ethtool", "-K", interface,
                    "tx", "off", "tso", "off", "gso", "off", "gro", "off")
            self._ip(name, f"link set {interface} up")

    def _join(self, name, interface, queues=1):
        """Connects a namespace with the fabric, where its port is called like it."""
        self._link(name, interface, "fabric", name, queues=queues)
        self._ip("fabric", f"link set {name} master br0")

    def _addresses(self):
        for name, interface, v4, v6, v4_bits in (
                ("clients", "eth0", CLIENT4, CLIENT6, 24), ("edge", "front", HOST4, HOST6, 24),
                ("edge", "back", HOST_BACK4, HOST_BACK6, 16),
                *((name, "eth0", v4, v6, 16) for name, (v4, v6) in BACKENDS.items())):
            self._ip(name, f"addr add {v4}/{v4_bits} dev {interface}")
            self._ip(name, f"addr add {v6}/64 dev {interface} nodad")

    def link(self, backend, state):
        """Cuts ("down") or mends ("up") a backend's cable: packets vanish without an answer."""
        self._ip("fabric", f"link set {backend} {state}")

    def spoil(self, program, **settings):
        """Joins clients (the first) and edge (the second) by PROGRAM, tests/support/bad_line.c."""
        process = self.spawn("line", [program, "clients", "edge",
                                      *(f"{name}={value}" for name, value in settings.items())],
                             "bad_line")
        wait_until(lambda: "ready" in process.log() or not process.alive(), 10, "the bad line")
        if not process.alive():
            raise LabError(process.log_tail())
        return process

    def path(self, name):
        return os.path.join(self.directory, name)

    def argv(self, name, argv, cpu=None):
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        return ["ip", "netns", "exec", self.ns(name), *pin, *map(str, argv)]

    def spawn(self, name, argv, label, cpu=None, env=None):
        """Starts a process in a namespace; its output is LABEL.log in the lab's directory, anew."""
        log_path = self.path(label + ".log")
        with open(log_path, "wb") as log:
            popen = subprocess.Popen(self.argv(name, argv, cpu), stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=subprocess.STDOUT,
                                     env={**os.environ, **(env or {})}, start_new_session=True)
        process = Process(label, popen, log_path)
        self.processes = [p for p in self.processes if p.alive()] + [process]
        return process

    def run(self, name, argv, timeout_s=60, check=True, cpu=None, stdin=b""):
        """Runs a command in a namespace to its end and returns the completed process."""
        try:
            done = subprocess.run(self.argv(name, argv, cpu), input=stdin,
                                  capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{argv[0]}: no end after {timeout_s:g} s: "
                           f"{' '.join(map(str, argv))}\n{error.stderr or ''}") from None
        if check and done.returncode != 0:
            raise LabError(f"{' '.join(map(str, argv))}: exit {done.returncode}: "
                           f"{done.stderr.decode(errors='replace').strip()}")
        return done


if __name__ == "__main__":
    if sys.argv[1:] != ["sweep"]:
        sys.exit(__doc__)
    sweep()
