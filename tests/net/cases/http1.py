"""Backends of HTTP/1.1: nginx, Node.js and Python's http.server, and one that says odd things.

One of each beside eu-1, on ports of their own; routes /nginx/, /node/, /python/, /odd/ lead there.
The other groups run with backends of HTTP/1.1 as well, and with backends over TLS (WEIR_BACKENDS).
"""
import contextlib
import copy
import json
import os
import shutil
import socket

from case import Skip, all_ok, case, equal, expect, one_body
from cases.grpc import address_of, apply
from edge_site import PYTHON, SUPPORT, URL4, wait_until
from netlab import inside

PORTS = {"nginx": 8091, "node": 8092, "python": 8093, "odd": 8094}
HOST = "eu-1"


def with_servers(site):
    config = copy.deepcopy(site.proxy.config)
    address = address_of(site, HOST)
    for name, port in PORTS.items():
        config["services"].append({
            "name": name, "protocol": "h1",
            "health": {"probe": "tcp", "interval_down": "1s", "eject_failures": 100},
            "regions": {"eu": {"backends": [
                {"name": f"real-{name}", "address": address, "port": port}]}}})
        config["routes"].append({"name": name, "path": f"/{name}/", "service": name})
    config["routes"].append({"name": "shared-node", "path": "/shared-node/", "service": "node",
                             "coalesce": {"mode": "get"}})
    return config


def nginx_argv(site, address):
    directory = site.lab.path("nginx")
    page = os.path.join(directory, "nginx")
    os.makedirs(page, exist_ok=True)
    with open(os.path.join(page, "big"), "wb") as file:
        file.write(bytes(range(256)) * 4096)
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""daemon off; pid {directory}/pid; error_log stderr; worker_processes 1; user root;
events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
  client_max_body_size 64k;
  server {{ listen {address}:{PORTS["nginx"]}; root {directory};
    location /nginx/empty {{ return 204; }}
    location /nginx/upload {{ return 200 "taken\\n"; }} }} }}
""")
    return [shutil.which("nginx"), "-c", path, "-e", "stderr"]


def listens(site, address, port):
    try:
        with inside(site.lab, HOST), socket.create_connection((address, port), 1):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def servers(site):
    for program in ("nginx", "node"):
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed")
    address = address_of(site, HOST)
    directory = site.lab.path("python")
    os.makedirs(os.path.join(directory, "python"), exist_ok=True)
    with open(os.path.join(directory, "python", "page"), "w", encoding="utf-8") as file:
        file.write("a page of python\n")
    commands = {
        "nginx": nginx_argv(site, address),
        "node": ["node", os.path.join(SUPPORT, "http1_server.js"), address, PORTS["node"]],
        "python": [PYTHON, "-m", "http.server", "--protocol", "HTTP/1.1", "--bind", address,
                   "--directory", directory, PORTS["python"]],
        "odd": [PYTHON, os.path.join(SUPPORT, "h1_odd.py"), "--address", address, "--port",
                PORTS["odd"]],
    }
    running = {name: site.lab.spawn(HOST, argv, f"real-{name}") for name, argv in commands.items()}
    try:
        wait_until(lambda: all(listens(site, address, port) for port in PORTS.values()),
                   20 * site.slowness(), "the servers to listen")
        apply(site, with_servers(site), "with-http1.json")
        wait_until(lambda: all(site.proxy.backend(f"real-{name}")["state"] == "up"
                               for name in running), 20, "the servers to be found up")
        yield running
    finally:
        apply(site, site.proxy.config, "without-http1.json")
        for process in running.values():
            process.stop()


def status_and_body(site, path, *options):
    done = site.lab.run("clients", ["curl", "-sS", "--max-time", "20", "--http2-prior-knowledge",
                                    "-w", "\n%{http_code}", *options, URL4 + path], check=False)
    body, _, status = done.stdout.decode("latin-1").rpartition("\n")
    return done.returncode, int(status or 0), body


def counted(site, name):
    return site.proxy.ctl("stats", f"h1.{name}")["counters"][f"h1.{name}"]["sum"]


@case()
def real_servers_answer(site):
    with servers(site):
        equal(status_and_body(site, "/node/page"), (0, 200, "a page of node\n"), "node")
        equal(status_and_body(site, "/python/page"), (0, 200, "a page of python\n"), "python")
        equal(status_and_body(site, "/nginx/empty"), (0, 204, ""), "nginx, 204")
        equal(status_and_body(site, "/node/nothing"), (0, 204, ""), "node, 204")
        equal(status_and_body(site, "/node/same"), (0, 304, ""), "node, 304")
        equal(status_and_body(site, "/node/hints")[2], "after a hint\n", "after 103")
        code, status, _ = status_and_body(site, "/nginx/big", "--head")
        equal((code, status), (0, 200), "HEAD")
        big = site.lab.run("clients", ["curl", "-sS", "--http2-prior-knowledge",
                                       URL4 + "/nginx/big"]).stdout
        equal(big, bytes(range(256)) * 4096, "1 MiB of nginx")


@case()
def connections_are_kept_and_used_again(site):
    with servers(site):
        for _ in range(30):
            equal(status_and_body(site, "/odd/good")[2], "good", "an answer")
        seen = json.loads(status_and_body(site, "/odd/count")[2])
        expect(seen["connections"] <= 2 + 2 * site.workers + 10,
               f"{seen['connections']} connections for 31 requests, probes with them")


@case()
def uploads_arrive_whole(site):
    with servers(site):
        for declared in (1, 0):
            all_ok(site.client(f"{URL4}/node/echo", method="POST", body_size=3_000_000,
                               body_seed="u", check_upload=True, declare_length=declared), 1)


@case()
def an_early_answer_reaches_the_client(site):
    with servers(site):
        # nginx looks at a declared length only.
        for target, declared in (("/nginx/upload", 1), ("/node/early", 1), ("/node/early", 0)):
            all_ok(site.client(URL4 + target, method="POST", body_size=2_000_000, body_seed="e",
                               expect_status=413, declare_length=declared), 1)


@case(needs=("coalesce",))
def a_stream_in_chunks_is_shared(site):
    with servers(site):
        report = site.client(URL4 + "/shared-node/events", count=50, connections=4 * site.workers)
        all_ok(report, 50)
        one_body(report)
        equal(status_and_body(site, "/node/streams")[2], "1", "streams that node began")


@case()
def odd_but_legal_answers_are_understood(site):
    with servers(site):
        for name in ("good", "no-reason", "case", "interim", "extension", "until-close", "old"):
            equal(status_and_body(site, f"/odd/{name}"), (0, 200, "good"), name)


@case()
def illegal_answers_are_refused_by_name(site):
    names = {"obs-fold": "obs_fold", "bare-lf": "bare_lf", "bare-cr": "bare_cr", "nul": "nul",
             "space-colon": "space_before_colon", "two-lengths": "content_length_repeated",
             "both": "transfer_encoding_and_length", "gzip-chunked": "transfer_encoding_bad",
             "huge-length": "content_length_bad", "switching": "switching_protocols"}
    with servers(site):
        for name, counter in names.items():
            before = counted(site, counter)
            code, status, body = status_and_body(site, f"/odd/{name}")
            equal((code, status), (0, 502), name)
            expect("good" not in body, f"{name}: {body!r}")
            expect(counted(site, counter) > before, f"{counter} did not count")


@case()
def broken_answers_end_honestly(site):
    with servers(site):
        for name in ("cut", "cut-chunk", "bad-chunk"):
            code, status, _ = status_and_body(site, f"/odd/{name}")
            expect(code != 0 or status == 502, f"{name} looked whole")


@case()
def a_smuggled_answer_is_nobodys(site):
    with servers(site):
        for _ in range(20):
            equal(status_and_body(site, "/odd/smuggled"), (0, 200, "good"), "the answer")
            equal(status_and_body(site, "/odd/good"), (0, 200, "good"), "the next one")
        expect(counted(site, "bytes_unasked") >= 20, "bytes behind answers were not seen")


@case()
def a_killed_server_is_not_a_whole_answer(site):
    with servers(site) as running:
        client = site.client_in_background(URL4 + "/node/events", "killed")
        wait_until(lambda: status_and_body(site, "/node/streams")[2] == "1", 10, "the stream")
        running["node"].kill()
        report = site.report_of(client)
        equal(report["ok"], 0, "answers that looked whole")
