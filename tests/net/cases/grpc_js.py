"""gRPC through the proxy on Node.js: grpc-js as client and as server, and beside the C core."""
import os
import shutil
import subprocess

from case import Skip, case, equal
from cases import grpc
from edge_site import SUPPORT, tls_directory, wait_until
from netlab import VIP4, VIP6
from weir import BUILD

SOURCES = os.path.join(SUPPORT, "grpc_js")
KINDS = ("unary", "client_stream", "server_stream", "bidi", "status", "metadata", "big")


def installed():
    """The folder with our programs and their packages, installed once for each lock file."""
    folder = os.path.join(BUILD, "grpc_js")
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    with open(os.path.join(folder, "package-lock.json"), "rb") as file:
        lock = file.read()
    stamp = os.path.join(folder, "installed")
    if os.path.exists(stamp):
        with open(stamp, "rb") as file:
            if file.read() == lock:
                return folder
    if shutil.which("npm") is None:
        raise Skip("npm is not installed")
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=90)
    if done.returncode != 0:
        raise Skip("npm cannot install @grpc/grpc-js: is its registry out of reach?")
    with open(stamp, "wb") as file:
        file.write(lock)
    return folder


def program(name):
    return (shutil.which("node"), os.path.join(installed(), name))


def ask(site, check, *argument, target=grpc.TARGETS[0]):
    return grpc.ask(site, target, check, *argument, command=program("client.js"))


def begun_and_ended(site, running):
    return tuple(map(sum, zip(*(grpc.calls(site, name) for name in running))))


@case(timeout_s=240)
def calls_of_all_kinds_pass_between_grpc_js(site):
    with grpc.servers(site, program("server.js")):
        for target in grpc.TARGETS:
            for check in KINDS:
                ask(site, check, target=target)
        ask(site, "many", "500")


@case(timeout_s=240)
def grpc_js_and_the_c_core_understand_each_other(site):
    with grpc.servers(site):
        for check in KINDS:
            ask(site, check)
    with grpc.servers(site, program("server.js")):
        for check in ("unary", "client_stream", "server_stream", "bidi", "status"):
            grpc.ask(site, grpc.TARGETS[0], check)


@case(needs=("tls",), timeout_s=240)
def calls_of_all_kinds_pass_over_tls_on_both_sides(site):
    ca, certificate, key = (os.path.join(tls_directory(site.lab), name)
                            for name in ("ca.pem", "backend.pem", "backend.key"))
    server = (*program("server.js"), "--certificate", certificate, "--key", key)
    client = (*program("client.js"), "--ca", ca)
    with grpc.servers(site, server, tls={"ca_file": ca}):
        for target in (f"{VIP4}:443", f"[{VIP6}]:443"):
            for check in KINDS:
                grpc.ask(site, target, check, command=client)
        grpc.ask(site, f"{VIP4}:443", "many", "500", command=client)


@case(timeout_s=240)
def deadlines_and_cancellations_reach_grpc_js(site):
    with grpc.servers(site, program("server.js")) as running:
        ask(site, "deadline")
        ask(site, "cancel", "20")

        def ended():
            begun, cancelled = begun_and_ended(site, running)
            equal(begun, 21, "calls that began")
            return cancelled == 21
        wait_until(ended, 20, "the servers to hear that nobody waits any more")


@case(needs=("coalesce", "post-body"), timeout_s=240)
def two_subscribers_share_a_stream(site):
    route = {"coalesce": {"mode": "post-body"}}
    with grpc.servers(site, program("server.js"), route) as running:
        ask(site, "same_stream", "2")
        wait_until(lambda: begun_and_ended(site, running) == (1, 1), 20,
                   "one call, begun and cancelled")
