"""Different programs subscribe to one flight at the same time; none of them knows of the others."""
from case import case, equal, expect
from cases.grpc import TARGETS, servers
from cases.grpc_js import begun_and_ended, program
from crowd import open_exchanges
from edge_site import URL4, wait_until

# What all of them send and the key holds; `accept: */*` is curl's and nghttp's own.
FIELDS = ("content-type: application/grpc", "te: trailers", "accept-encoding: identity",
          "grpc-accept-encoding: identity,deflate,gzip")
EMPTY_MESSAGE = bytes(5)         # not compressed, no bytes
SLOW = "/weir.test.Echo/Slow"
AUTHORITY = TARGETS[0]


def messages(count):
    """The beginning of the stream, in gRPC's framing: the numbers from 0 on."""
    texts = (str(number).encode() for number in range(count))
    return b"".join(b"\0" + len(text).to_bytes(4, "big") + text for text in texts)


def options_for(flag, fields):
    return [part for field in fields for part in (flag, field)]


def curl_argv(body):
    return ["curl", "-sS", "-N", "--http2-prior-knowledge", "--max-time", "3",
            *options_for("-H", (*FIELDS, f"host: {AUTHORITY}")),
            "--data-binary", f"@{body}", URL4 + SLOW]


def nghttp_argv(body):
    return ["timeout", "3", "stdbuf", "-o0", "nghttp", "--no-dep",
            *options_for("-H", (*FIELDS, f":authority: {AUTHORITY}", ":method: POST")),
            "-d", body, URL4 + SLOW]


def expect_beginning(site, label):
    with open(site.lab.path(label + ".log"), "rb") as file:
        found = file.read()
    end = found.find(b"curl: (28)")      # its patience is over, which it says
    found = found if end < 0 else found[:end]
    expect(len(found) > len(messages(20)), f"{label} got {len(found)} bytes only: {found[:500]}")
    expect(messages(1000).startswith(found), f"{label} got something else: {found[:500]}")


@case(needs=("coalesce", "post-body"), timeout_s=240)
def curl_nghttp_and_grpc_js_share_a_stream(site):
    body = site.lab.path("question")
    with open(body, "wb") as file:
        file.write(EMPTY_MESSAGE)
    route = {"coalesce": {"mode": "post-body"}}
    with servers(site, program("server.js"), route) as running:
        first = site.lab.spawn("clients", [*program("client.js"), AUTHORITY, "same_stream", "20",
                                           "120"], "grpc-js")
        wait_until(lambda: open_exchanges(site) == 20, 20, "the first calls")
        others = [site.lab.spawn("clients", curl_argv(body), f"curl-{i}") for i in range(10)]
        others += [site.lab.spawn("clients", nghttp_argv(body), f"nghttp-{i}") for i in range(10)]
        for process in others:
            process.wait(30)
        equal(first.wait(60), 0, first.log_tail())
        for process in others:
            expect_beginning(site, process.name)
        wait_until(lambda: begun_and_ended(site, running) == (1, 1), 20,
                   "one call at the servers, begun and cancelled")
