"""HTTP/1.1 over TLS, found by ALPN: both are offered, the backends take http/1.1.

Beside eu-1, on ports of their own: the pages of every backend, and a server that says odd things.
"""
import contextlib
import copy
import os

from case import all_ok, case, equal, expect, one_body
from cases.grpc import address_of, apply
from cases.http1 import counted, listens, status_and_body
from edge_site import PYTHON, SUPPORT, URL4, tls_directory, wait_until

PORTS = {"pages": 8446, "odd": 8447}
PATHS = {"pages": ("/echo", "/bytes", "/stream"), "odd": ("/odd/",)}
CLEAR_PORT = 8449
HOST = "eu-1"


def of_tls(site, name):
    return site.proxy.ctl("stats", f"tls.{name}")["counters"][f"tls.{name}"]["sum"]


def with_servers(site):
    config = copy.deepcopy(site.proxy.config)
    tls = {"ca_file": os.path.join(tls_directory(site.lab), "ca.pem"),
           "server_name": "backend.example"}
    for name, port in PORTS.items():
        config["services"].append({
            "name": f"tls-{name}", "protocol": "h2",
            "health": {"probe": "tcp", "interval_up": "200ms", "interval_doubt": "200ms",
                       "interval_down": "200ms", "eject_failures": 100},
            "regions": {"eu": {"tls": tls, "backends": [
                {"name": f"tls-{name}", "address": address_of(site, HOST), "port": port}]}}})
        config["routes"] += [{"name": f"{name}{path.replace('/', '-')}", "path": path,
                              "service": f"tls-{name}"}
                             for path in PATHS[name]]
    config["routes"].append({"name": "shared-tls", "path": "/shared/stream", "service": "tls-pages",
                             "coalesce": {"mode": "get"}})
    return config


def commands(site):
    address = address_of(site, HOST)
    keys = [os.path.join(tls_directory(site.lab), "backend" + end) for end in (".pem", ".key")]
    odd = [PYTHON, os.path.join(SUPPORT, "h1_odd.py"), "--address", address, "--tls", *keys]
    return {
        "pages": [PYTHON, os.path.join(SUPPORT, "h1_backend.py"), "--name", HOST, "--port",
                  CLEAR_PORT, "--address", address, "--tls", PORTS["pages"], *keys],
        "odd": [*odd, "--port", PORTS["odd"]],
    }


@contextlib.contextmanager
def servers(site):
    running = {name: site.lab.spawn(HOST, argv, f"tls-{name}")
               for name, argv in commands(site).items()}
    try:
        wait_until(lambda: all(listens(site, address_of(site, HOST), port)
                               for port in PORTS.values()),
                   20 * site.slowness(), "the servers to listen")
        apply(site, with_servers(site), "with-http1-tls.json")
        wait_until(lambda: all(site.proxy.backend(f"tls-{name}")["state"] == "up"
                               for name in running), 20, "the servers to be found up")
        wait_until(lambda: site.curl(URL4 + "/bytes?n=1", check=False).returncode == 0, 15, "a page")
        yield running
    finally:
        apply(site, site.proxy.config, "without-http1-tls.json")
        for process in running.values():
            process.stop()


@case(needs=("tls",))
def pages_uploads_and_streams_come_over_tls(site):
    with servers(site):
        answers, handshakes = counted(site, "answers"), of_tls(site, "backend_handshakes")
        size = 10_000_000
        done = site.curl(URL4 + f"/bytes?n={size}", "-o", "/dev/null", "-w", "%{size_download}")
        equal(done.stdout.decode(), str(size), "bytes of the answer")
        for declared in (1, 0):
            all_ok(site.client(f"{URL4}/echo", method="POST", body_size=3_000_000, body_seed="u",
                               check_upload=True, declare_length=declared), 1)
        all_ok(site.client(URL4 + "/bytes?n=1000", count=300, concurrency=20), 300)
        said = site.curl(URL4 + "/stream?chunks=5&interval_ms=50").stdout.decode()
        expect(said.count("data:") >= 5, f"the stream: {said!r}")
        expect(counted(site, "answers") >= answers + 304, "they did not come over HTTP/1.1")
        expect(of_tls(site, "backend_handshakes") > handshakes, "nothing went over TLS")


@case(needs=("tls", "coalesce"))
def a_stream_over_tls_is_shared(site):
    with servers(site):
        before = counted(site, "answers_chunked")
        report = site.client(URL4 + "/shared/stream?chunks=20&interval_ms=50", count=40,
                             connections=4 * site.workers)
        all_ok(report, 40)
        one_body(report)
        expect(counted(site, "answers_chunked") <= before + 2, "it was not shared")


@case(needs=("tls",))
def slow_readers_lose_nothing(site):
    with servers(site):
        shed = of_tls(site, "kept_shed")
        all_ok(site.client(URL4 + "/bytes?n=200000&seed=s", count=60, connections=4 * site.workers,
                           window=20000, read_delay_ms=20, expect_size=200000, expect_seed="s"), 60)
        equal(of_tls(site, "kept_shed"), shed, "sessions that ended because records had to wait")


@case(needs=("tls",))
def an_answer_until_close_ends_by_close_notify_or_is_cut(site):
    with servers(site):
        cut = of_tls(site, "truncated")
        for _ in range(3):
            equal(status_and_body(site, "/odd/until-close"), (0, 200, "good"), "closed cleanly")
            code, status, _ = status_and_body(site, "/odd/until-cut")
            expect(code != 0 or status == 502, "an answer that was cut looked whole")
        expect(of_tls(site, "truncated") >= cut + 3, "the cut was not seen")


@case(needs=("tls",))
def a_smuggled_answer_is_nobodys(site):
    with servers(site):
        unasked = counted(site, "bytes_unasked")
        for _ in range(10):
            equal(status_and_body(site, "/odd/smuggled"), (0, 200, "good"), "the answer")
            equal(status_and_body(site, "/odd/good"), (0, 200, "good"), "the next one")
        expect(counted(site, "bytes_unasked") >= unasked + 10, "bytes behind answers were not seen")
