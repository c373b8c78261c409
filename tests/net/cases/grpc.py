"""gRPC through the proxy: client and servers are the C core's, unmodified."""
import contextlib
import copy
import json
import os

from case import Failed, case, equal, expect
from edge_site import PYTHON, SUPPORT, wait_until
from netlab import BACKENDS, REGIONS, VIP4, VIP6

PORT = 9090
TARGETS = (f"{VIP4}:80", f"[{VIP6}]:80")


def address_of(site, name):
    """That of the backend in the first service."""
    for region in site.proxy.config["services"][0]["regions"].values():
        for backend in region["backends"]:
            if backend["name"] == name:
                return backend["address"]
    raise KeyError(name)


def with_grpc(site, route=None, tls=None):
    """The configuration with a service of gRPC servers; ROUTE: more keys of the route to it; TLS: how
    they are spoken to."""
    config = copy.deepcopy(site.proxy.config)
    config["services"].append({
        "name": "calls",
        "health": {"probe": "tcp", "interval_down": "1s"},
        "regions": {region: {**({"tls": tls} if tls else {}), "backends": [
            {"name": f"call-{name}", "address": address_of(site, name), "port": PORT}
            for name in names]} for region, names in REGIONS.items()}})
    config["routes"].append({"name": "calls", "path": "/weir.test.Echo", "service": "calls",
                             **(route or {})})
    return config


def apply(site, config, name):
    path = site.lab.path(name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    site.proxy.ctl("config", "apply", path)


@contextlib.contextmanager
def servers(site, command=(PYTHON, os.path.join(SUPPORT, "grpc_server.py")), route=None,
            tls=None):
    """A gRPC server beside every backend, and a route to them; yields them by name."""
    running = {}
    for name, addresses in BACKENDS.items():
        argv = [*command, "--name", name, "--port", PORT]
        for address in addresses:
            argv += ["--address", address]
        running[name] = site.lab.spawn(name, argv, f"grpc-{name}")
    try:
        for process in running.values():
            wait_until(lambda process=process: "ready" in process.log() or not process.alive(), 20,
                       "a gRPC server to be ready")
            expect(process.alive(), process.log_tail())
        apply(site, with_grpc(site, route, tls), "with-grpc.json")
        wait_until(lambda: all(site.proxy.backend(f"call-{name}")["usable"]
                               for name in running), 20, "the gRPC servers to be up")
        yield running
    finally:
        apply(site, site.proxy.config, "without-grpc.json")
        for process in running.values():
            process.stop()


def ask(site, target, check, *argument,
        command=(PYTHON, os.path.join(SUPPORT, "grpc_client.py"))):
    argv = [*command, target, check, *argument]
    done = site.lab.run("clients", argv, check=False, timeout_s=90)
    if done.returncode != 0:
        raise Failed(f"{target}: {done.stderr.decode().strip()[-1000:]}")
    return json.loads(done.stdout)


def calls(site, name):
    """(begun, cancelled) as the server NAME counted."""
    argv = [PYTHON, "-c", "import grpc, sys; print(grpc.insecure_channel(sys.argv[1]).unary_unary("
            "'/weir.test.Echo/Calls')(b'').decode())", f"{BACKENDS[name][0]}:{PORT}"]
    begun, cancelled = site.lab.run(name, argv).stdout.split()
    return int(begun), int(cancelled)


@case()
def all_kinds_of_calls_pass(site):
    with servers(site):
        for target in TARGETS:
            for check in ("unary", "client_stream", "server_stream", "bidi", "compressed"):
                ask(site, target, check)


@case()
def messages_larger_than_any_buffer_pass(site):
    with servers(site):
        ask(site, TARGETS[0], "big")


@case()
def every_status_and_its_text_arrive(site):
    with servers(site):
        ask(site, TARGETS[0], "status")


@case()
def metadata_pass_in_all_directions(site):
    with servers(site):
        ask(site, TARGETS[0], "metadata")


@case()
def a_deadline_and_a_cancellation_reach_the_server(site):
    with servers(site) as running:
        ask(site, TARGETS[0], "deadline")
        ask(site, TARGETS[0], "cancel", "20")

        def ended():
            begun, cancelled = map(sum, zip(*(calls(site, name) for name in running)))
            equal(begun, 21, "calls that began")
            return cancelled == 21
        wait_until(ended, 20, "the servers to hear that nobody waits any more")


@case()
def a_thousand_calls_share_a_connection(site):
    with servers(site):
        ask(site, TARGETS[0], "many", "1000")


@case()
def a_server_that_dies_fails_no_call_for_long(site):
    """Calls are not replay safe: those under way at that moment may fail, later ones may not."""
    with servers(site) as running:
        argv = [PYTHON, os.path.join(SUPPORT, "grpc_client.py"), TARGETS[0], "under_way", "6"]
        client = site.lab.spawn("clients", argv, "grpc-client")
        wait_until(lambda: sum(calls(site, name)[0] for name in running) > 50, 20, "calls")
        running["eu-1"].kill()
        equal(client.wait(60), 0, client.log_tail())
        ends = json.loads(client.log().splitlines()[-1])
        good = ends.pop("OK", 0)
        expect(good > 100 and sum(ends.values()) <= 3, f"{good} good calls, others: {ends}")
