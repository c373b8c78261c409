"""Clients that speak HTTP/1: what a listener tells them, in clear text and over TLS."""
import contextlib
import copy

from case import case, equal, expect
from cases.grpc import apply
from cases.tls import ca
from edge_site import URL4, wait_until
from netlab import VIP4, VIP6

URLS = (f"http://{VIP4}", f"https://{VIP4}", f"https://[{VIP6}]")


@contextlib.contextmanager
def told(site, http1, location=""):
    config = copy.deepcopy(site.proxy.config)
    for listener in config["listeners"]:
        listener.update(http1=http1, http1_location=location)
        if "tls" in listener:
            listener["tls"]["http1"] = "answer"
    try:
        apply(site, config, "http1-clients.json")
        wait_until(lambda: ask(site, URLS[1] + "/")[0] != 0, 10, "an answer over TLS")
        yield
    finally:
        apply(site, site.proxy.config, "http1-as-before.json")


def ask(site, url, *options):
    """Status and header lines of the answer to curl --http1.1; status 0: none."""
    done = site.lab.run("clients", ["curl", "-sS", "--max-time", "10", "--http1.1", "--cacert",
                                    ca(site), "-D", "-", "-o", "/dev/null", "-w", "%{http_code}",
                                    *options, url], check=False)
    *lines, status = done.stdout.decode().splitlines() or ["0"]
    return int(status), [line.lower() for line in lines]


@case(needs=("tls",))
def a_refusal_says_which_protocol_is_wanted(site):
    with told(site, "426"):
        for url in URLS:
            status, lines = ask(site, url + "/")
            equal(status, 426, url)
            expect("upgrade: http/2.0" in lines and "connection: upgrade, close" in lines,
                   f"{url}: {lines}")
        equal(site.curl(URL4 + "/", check=False).returncode, 0, "a page by HTTP/2")


@case(needs=("tls",))
def a_redirect_leads_to_the_same_path(site):
    with told(site, "redirect", "https://shop.example:8443"):
        for url in URLS:
            for path in ("/", "/a/b?c=d&e", "/%0d%0aset-cookie:x"):
                status, lines = ask(site, url + path)
                equal(status, 308, url + path)
                expect(f"location: https://shop.example:8443{path}" in lines, f"{path}: {lines}")
        equal(ask(site, URLS[0] + "/" + "a" * 3000)[0], 505, "a request line above its bound")
        equal(ask(site, URLS[0] + "/", "-X", "POST", "-d", "x" * 100000)[0], 308, "a POST")


@case(needs=("tls",))
def browsers_that_follow_get_the_page_by_http2(site):
    with told(site, "redirect", f"https://{VIP4}"):
        done = site.lab.run("clients", ["curl", "-sS", "-f", "-L", "--max-time", "10", "--cacert",
                                        ca(site), "-w", "\n%{http_version} %{num_redirects}",
                                        f"http://{VIP4}/"])
        page, _, followed = done.stdout.decode().rpartition("\n")
        expect(" answer " in page and followed == "2 1", f"{page!r}, {followed}")


@case(needs=("tls",))
def without_a_choice_it_is_505_and_an_alert(site):
    equal(ask(site, URLS[0] + "/")[0], 505, "clear text")
    equal(ask(site, URLS[1] + "/")[0], 0, "TLS")
