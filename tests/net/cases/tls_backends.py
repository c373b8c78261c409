"""TLS towards backends: who is believed, what it is used for, and what becomes of requests without."""
import contextlib
import copy
import os

from case import all_ok, case, equal, expect
from cases.grpc import address_of, apply
from cases.http1 import listens
from edge_site import BACKEND_TLS_PORT, PYTHON, SUPPORT, URL4, tls_directory
from netlab import wait_until


def counted(site, name):
    return site.proxy.ctl("stats")["counters"][name]["sum"]


def over_tls(site, **differences):
    """The site's configuration, with all backends by TLS."""
    tls = {"ca_file": os.path.join(tls_directory(site.lab), "ca.pem"), **differences}
    config = copy.deepcopy(site.proxy.config)
    for service in config["services"]:
        for region in service["regions"].values():
            region["tls"] = tls
            for backend in region["backends"]:
                backend["port"] = BACKEND_TLS_PORT
    return config


@contextlib.contextmanager
def applied(site, config):
    try:
        apply(site, config, "tls-backends.json")
        yield
    finally:
        apply(site, site.proxy.config, "clear-backends.json")
        wait_until(lambda: site.curl(URL4 + "/", check=False).returncode == 0, 15, "clear text again")


@case(needs=("tls",))
def pages_bodies_and_streams_come_over_tls(site):
    before = {name: counted(site, name) for name in ("tls.backend_handshakes", "tls.truncated")}
    with applied(site, over_tls(site, server_name="backend.example")):
        wait_until(lambda: site.curl(URL4 + "/", check=False).returncode == 0, 15, "a page")
        all_ok(site.client(URL4 + "/", count=200, concurrency=20), 200)
        size = 20_000_000
        done = site.curl(URL4 + f"/bytes?n={size}", "-o", "/dev/null", "-w", "%{size_download}")
        equal(done.stdout.decode(), str(size), "bytes of the answer")
        said = site.curl(URL4 + "/stream?chunks=5&interval_ms=50").stdout.decode()
        expect(said.count("data:") >= 5, f"the stream: {said!r}")
        result = site.h2load("-n", "3000", "-c", "20", "-m", "10", URL4 + "/")
        equal(result["succeeded"], 3000, "requests that succeeded")
    expect(counted(site, "tls.backend_handshakes") > before["tls.backend_handshakes"],
           "nothing went over TLS")


@case(needs=("tls",))
def an_address_can_be_what_is_verified(site):
    with applied(site, over_tls(site)):
        wait_until(lambda: site.curl(URL4 + "/", check=False).returncode == 0, 15, "a page")


@case(needs=("tls",))
def a_backend_with_another_name_gets_no_request(site):
    before = {name: counted(site, name) for name in ("tls.backend_wrong_name",
                                                     "upstream.attempts_tls_failed")}
    site.reset_counts()
    with applied(site, over_tls(site, server_name="somebody.example")):
        done = site.curl(URL4 + "/?wrong-name=1", "--max-time", "10", check=False)
        expect(done.returncode != 0, "a backend that proved nothing was asked")
        for name, count in before.items():
            expect(counted(site, name) > count, f"{name} was not counted")
        wait_until(lambda: "TLS" in str(site.proxy.ctl("backend", "list")), 10,
                   "a probe to say that TLS failed")
    equal(site.counted("/?wrong-name=1"), 0, "requests that reached a backend")


@case(needs=("tls",))
def certificates_read_again_leave_connections_as_they_are(site):
    with applied(site, over_tls(site, server_name="backend.example")):
        wait_until(lambda: site.curl(URL4 + "/", check=False).returncode == 0, 15, "a page")
        client = site.client_in_background(URL4 + "/slow?ms=3000", "slow-over-tls")
        wait_until(lambda: site.open_requests() == 1, 10, "the request to be under way")
        lost = counted(site, "upstream.connections_removed")
        site.proxy.ctl("certificate", "reload")
        all_ok(site.report_of(client), 1)
        equal(counted(site, "upstream.connections_removed"), lost, "connections removed")


SPEAKER_PORTS = {"first": 8461, "last": 8462}


@case(needs=("tls",))
def it_does_not_matter_who_speaks_first_over_tls_1_2(site):
    address, host = address_of(site, "eu-1"), "eu-1"
    keys = [os.path.join(tls_directory(site.lab), "backend" + end) for end in (".pem", ".key")]
    config = copy.deepcopy(site.proxy.config)
    running = []
    for mode, port in SPEAKER_PORTS.items():
        running.append(site.lab.spawn(host, [
            PYTHON, os.path.join(SUPPORT, "h2_speaker.py"), "--address", address, "--port", port,
            "--tls", *keys, "--mode", mode], f"speaks-{mode}"))
        config["services"].append({
            "name": mode, "health": {"probe": "tcp"}, "regions": {"eu": {
                "tls": {"ca_file": os.path.join(tls_directory(site.lab), "ca.pem"),
                        "server_name": "backend.example"},
                "backends": [{"name": mode, "address": address, "port": port}]}}})
        config["routes"].append({"name": mode, "path": f"/{mode}", "service": mode})
    try:
        wait_until(lambda: all(listens(site, address, port) for port in SPEAKER_PORTS.values()),
                   20, "the servers to listen")
        with applied(site, config):
            for mode in SPEAKER_PORTS:
                wait_until(lambda path=f"/{mode}": status(site, path) == "204", 15, mode)
                equal([status(site, f"/{mode}") for _ in range(20)], ["204"] * 20, mode)
    finally:
        for process in running:
            process.stop()


def status(site, path):
    return site.curl(URL4 + path, "-o", "/dev/null", "-w", "%{http_code}",
                     check=False).stdout.decode()
