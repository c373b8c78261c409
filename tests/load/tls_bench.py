"""TLS 1.3 towards clients, in the rig of peers.py: Weir and what Debian has, one core for the proxy.

What a connection costs stands beside what its cryptography costs by itself (`openssl speed` on the
proxy's core): a full handshake is one ECDSA P-256 signature and two operations on X25519, a resumed one
the latter two. Bulk stands beside AES-128-GCM on pieces of 16 KiB. `busy us` of Weir is its worker's time
in turns that found something; `core us` is all CPU time of a proxy's processes, and for others both are.
"""
import json
import os
import statistics
import subprocess

from peers import (FILES, PROXIES, PROXY_CPU, PeerSite, bulk_figures, cost_figures,
                   cycles_per_second, generator_share, note_strangers, raise_file_limit)
from edge_site import PYTHON, tls_directory        # found by the path that peers sets
from netlab import VIP4
from results import Result, median_of

HERE = os.path.dirname(os.path.abspath(__file__))
URL = f"https://{VIP4}"
NAMES = ("weir", "haproxy", "nghttpx", "nginx")
H2LOAD = ("--tls13-ciphers=TLS_AES_128_GCM_SHA256",)
RECORD = 16384
FULL_COUNT, FULL_RATE, RESUMED_COUNT = 3000, 1000, 1500

SHAPES = {"conn": "A new connection by TLS 1.3 for every 64-byte answer",
          "small": "64-byte answers over TLS, 8 connections x 32 streams",
          "bulk": "1 MiB answers over TLS, 8 connections x 4 streams"}


def speed_of(text):
    """{name: operations, or bytes, a second} of what `openssl speed -mr` printed."""
    out = {}
    for line in text.splitlines():
        kind, *fields = line.split(":")
        if kind == "+F4":
            out["sign"] = float(fields[2])
        elif kind == "+F5":
            out["exchange"] = float(fields[2])
        elif kind == "+F":
            out["bytes"] = float(fields[2])
    return out


def speed(*arguments):
    argv = ["taskset", "-c", str(PROXY_CPU), "openssl", "speed", "-seconds", "1", "-mr", *arguments]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                          timeout=60)
    return speed_of(done.stdout.decode())


def floors():
    """Microseconds of a full and of a resumed handshake, Gbit/s of a core: cryptography alone."""
    keys = speed("ecdsap256", "ecdhx25519")
    exchange_us = 2e6 / keys["exchange"]
    return {"full": 1e6 / keys["sign"] + exchange_us, "resumed": exchange_us,
            "gbit": 8 * speed("-bytes", str(RECORD), "-evp", "aes-128-gcm")["bytes"] / 1e9}


def busy_us(run):
    """What a request cost, microseconds."""
    done = max(run["requests"], 1)
    if run["cycles"] is None:
        return run["spent"].proxy_ns / done / 1e3
    return 1e6 * run["cycles"] / done / cycles_per_second()


def conn_figures(run, floor_us):
    figures = cost_figures(run)
    return {"connections/s": figures["requests/s"], "core us": figures["core us"],
            "busy us": busy_us(run), "floor us": floor_us,
            "x floor": busy_us(run) / floor_us, "failed": run["failed"]}


def small_figures(run):
    figures = cost_figures(run)
    return {"requests/s": figures["requests/s"], "core us": figures["core us"],
            "busy us": busy_us(run), "core %": figures["core %"], "failed": run["failed"]}


def bulk_beside(run, floor_gbit):
    figures = bulk_figures(run)
    busy_s = busy_us(run) * run["requests"] / 1e6
    rate = 8 * FILES["1m"] * run["requests"] / max(busy_s, 1e-9) / 1e9
    return {"Gbit/s": figures["Gbit/s"], "Gbit/s a core": figures["Gbit/s a core"],
            "Gbit/s a busy core": rate, "AES alone": floor_gbit,
            "of AES alone": rate / floor_gbit, "failed": run["failed"]}


def resume(site):
    """Like PeerSite.load()."""
    argv = [PYTHON, os.path.join(HERE, "tls_resume.py"), VIP4,
            os.path.join(tls_directory(site.lab), "ca.pem"), RESUMED_COUNT, "/64"]
    text, cost = site.cost_of(argv)
    resumed = json.loads(text)["resumed"]
    return {"requests": resumed, "failed": RESUMED_COUNT - resumed,
            "rate": resumed / cost["seconds"], **cost}


def measure(name, seconds, floor):
    """{(shape, how): (figures, run)}"""
    with PeerSite(PROXIES[name]) as site:
        site.load(*H2LOAD, "-c", 8, "-m", 32, "-n", 2000, f"{URL}/64")    # connections, memory: warm
        small = site.load(*H2LOAD, "-c", 8, "-m", 32, "-D", seconds, f"{URL}/64")
        bulk = site.load(*H2LOAD, "-c", 8, "-m", 4, "-w", 20, "-W", 24, "-D", seconds, f"{URL}/1m")
        full = site.load(*H2LOAD, "-n", FULL_COUNT, "-c", FULL_COUNT, "-r", FULL_RATE, "-m", 1,
                         f"{URL}/64")
        again = resume(site)
    return {("conn", "full handshake"): (conn_figures(full, floor["full"]), full),
            ("conn", "resumed"): (conn_figures(again, floor["resumed"]), again),
            ("small", None): (small_figures(small), small),
            ("bulk", None): (bulk_beside(bulk, floor["gbit"]), bulk)}


def collect(names, runs, seconds):
    """{shape: {row: [(figures, run) of each run]}}"""
    measured = {shape: {} for shape in SHAPES}
    for _ in range(runs):                       # proxies take turns
        floor = floors()
        for name in names:
            for (shape, how), values in measure(name, seconds, floor).items():
                row = f"{name}, {how}" if how else name
                measured[shape].setdefault(row, []).append(values)
    return measured


def tls(options):
    raise_file_limit()
    names = [name for name in options.proxy or NAMES if name in NAMES]
    measured = collect(names, options.runs, max(1, int(options.seconds)))
    out = []
    for shape, title in SHAPES.items():
        result = Result(f"tls-{shape}", f"{title}; one core for the proxy")
        for row, runs in measured[shape].items():
            result.add(row, median_of([figures for figures, _ in runs]),
                       statistics.median(generator_share(run) for _, run in runs))
        note_strangers(result, max(run["spent"].strangers for runs in measured[shape].values()
                                   for _, run in runs))
        out.append(result)
    out[0].note("The floor: `openssl speed` of one ECDSA P-256 signature and two X25519 operations on "
                "the same core; resumed: of the two.")
    out[2].note(f"AES alone: `openssl speed -evp aes-128-gcm` on {RECORD} bytes, on the same core.")
    return out
