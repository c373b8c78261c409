"""TLS towards clients: with the clients people use, and with those who do it wrong."""
import os

from case import all_ok, case, equal, expect
from netlab import VIP4, VIP6, wait_until

TLS4, TLS6 = f"https://{VIP4}", f"https://[{VIP6}]"


def files(site):
    return os.path.join(site.lab.directory, "tls")


def ca(site):
    return os.path.join(files(site), "ca.pem")


def curl(site, url, *options, check=True):
    return site.lab.run("clients", ["curl", "-sS", "-f", "--max-time", "30", "--http2", "--cacert",
                                    ca(site), *options, url], check=check, timeout_s=60)


def s_client(site, *options, text=b"", check=False):
    """openssl s_client's output; it ends when TEXT has been sent."""
    done = site.lab.run("clients", ["timeout", "10", "openssl", "s_client", "-connect",
                                    f"{VIP4}:443", "-CAfile", ca(site), *options], check=check,
                        timeout_s=30, stdin=text)
    return (done.stdout + done.stderr).decode(errors="replace")


def counted(site, name):
    return site.proxy.ctl("stats")["counters"]["tls." + name]["sum"]


@case(needs=("tls",))
def curl_gets_a_page_with_a_verified_certificate(site):
    for url in (TLS4, TLS6):
        page = curl(site, url + "/", "-o", "/dev/stdout", "-w", "%{http_version}").stdout.decode()
        expect(" answer " in page and page.endswith("2"), f"unexpected page {page!r}")


@case(needs=("tls",))
def both_versions_are_spoken_and_no_older_one(site):
    for option, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        said = s_client(site, "-alpn", "h2", option)
        expect(version in said and "Verification: OK" in said and "ALPN protocol: h2" in said,
               f"{version}: {said[-800:]}")
    before = counted(site, "refused_version")
    said = s_client(site, "-alpn", "h2", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    expect("alert protocol version" in said, f"TLS 1.1: {said[-800:]}")
    expect(counted(site, "refused_version") == before + 1, "refused_version was not counted")


@case(needs=("tls",))
def the_name_chooses_the_certificate(site):
    for name, subject in (("site.example", "CN = site"), ("a.wild.example", "CN = wild"),
                          ("a.b.wild.example", "CN = site"), ("nobody.example", "CN = site"),
                          ("A.WILD.example", "CN = wild")):
        said = s_client(site, "-alpn", "h2", "-servername", name)
        expect(f"subject={subject}\n" in said, f"{name}: {said[:1500]}")


@case(needs=("tls",))
def who_offers_only_http1_gets_an_alert(site):
    before = counted(site, "refused_alpn")
    said = s_client(site, "-alpn", "http/1.1")
    expect("no application protocol" in said, said[-800:])
    equal(counted(site, "refused_alpn"), before + 1, "refused_alpn")
    done = curl(site, TLS4 + "/", "--http1.1", check=False)
    expect(done.returncode != 0, "curl with HTTP/1.1 got something")


# A first handshake, then COUNT that bring its ticket. Tickets of TLS 1.3 are read before SETTINGS.
RESUME = """
import socket, ssl, sys
version, address, ca, count = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
context.set_alpn_protocols(["h2"])
session = None
for number in range(int(count) + 1):
    plain = socket.create_connection((address, 443), 10)
    with context.wrap_socket(plain, server_hostname=address, session=session) as tls:
        assert tls.session_reused == (number > 0), f"handshake {number}: {tls.session_reused}"
        tls.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes(3) + bytes([4]) + bytes(5))
        assert tls.recv(9)
        session = tls.session
"""


@case(needs=("tls",))
def sessions_are_resumed_on_any_worker(site):
    for version in ("TLSv1_2", "TLSv1_3"):
        before = counted(site, "resumed")
        site.lab.run("clients", ["/usr/bin/python3", "-c", RESUME, version, VIP4, ca(site), 10])
        equal(counted(site, "resumed"), before + 10, f"resumed with {version}")


# COUNT connections with VERSION that have exchanged SETTINGS, until they are ended.
IDLE = """
import socket, ssl, sys, time
version, address, ca, count = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
context.set_alpn_protocols(["h2"])
held = []
for _ in range(int(count)):
    tls = context.wrap_socket(socket.create_connection((address, 443), 10), server_hostname=address)
    tls.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes(3) + bytes([4]) + bytes(5))
    assert tls.recv(9)
    tls.sendall(bytes(3) + bytes([4, 1]) + bytes(4))
    held.append(tls)
print("held", flush=True)
time.sleep(60)
"""
IDLE_COUNT, IDLE_KIB = 100, 24
BESIDE_OPENSSL = 2500 # bytes of TCP, HTTP/2, the request layer (docs/memory.md) and a session


@case(needs=("tls",), workers=(1,))
def an_idle_connection_costs_at_most_24_kib(site):
    for version, option in (("TLSv1_2", "-tls1_2"), ("TLSv1_3", "-tls1_3")):
        s_client(site, "-alpn", "h2", option)   # what OpenSSL looks up once, it keeps
        before = counted(site, "memory_used")
        client = site.lab.spawn("clients", ["/usr/bin/python3", "-c", IDLE, version, VIP4, ca(site),
                                            IDLE_COUNT], f"idle-{version}")
        wait_until(lambda: "held" in client.log(), 30, "the connections to be open")
        each = (counted(site, "memory_used") - before) / IDLE_COUNT + BESIDE_OPENSSL
        client.kill()
        expect(each <= IDLE_KIB * 1024, f"{version}: {each:.0f} bytes each")
        expect(each > BESIDE_OPENSSL, f"{version}: nothing was measured")
        wait_until(lambda: counted(site, "memory_used") < before + 100_000, 20,
                   "their memory to be given back")


@case(needs=("tls",))
def nghttp_and_h2load_work_over_tls(site):
    done = site.lab.run("clients", ["nghttp", "-v", "--no-dep", TLS4 + "/"])
    expect(b":status: 200" in done.stdout, done.stdout.decode()[-500:])
    result = site.h2load("-n", "2000", "-c", "20", "-m", "10", TLS4 + "/")
    equal(result["succeeded"], 2000, "requests that succeeded")


@case(needs=("tls",))
def bodies_larger_than_any_buffer_pass_both_ways(site):
    size = 20_000_000
    done = curl(site, TLS4 + f"/bytes?n={size}", "-o", "/dev/null", "-w", "%{size_download}")
    equal(done.stdout.decode(), str(size), "bytes of the answer")
    body = site.lab.path("upload.bin")
    with open(body, "wb") as file:
        file.write(os.urandom(1 << 20) * 8)
    said = curl(site, TLS4 + "/echo?body=1", "--data-binary", "@" + body, "-H",
                "content-type: application/octet-stream", "-o", body + ".back")
    equal(said.returncode, 0, "curl's status")
    with open(body, "rb") as one, open(body + ".back", "rb") as two:
        expect(one.read() == two.read(), "the echo differs")


@case(needs=("tls",))
def clear_text_and_rubbish_are_refused_by_name(site):
    before = {name: counted(site, name) for name in ("refused_message", "handshake_lost")}
    done = site.lab.run("clients", ["curl", "-sS", "--max-time", "5", f"http://{VIP4}:443/"],
                        check=False)
    expect(done.returncode != 0, "clear text was answered")
    rubbish = ("import socket,os;"
               f"s=socket.create_connection(('{VIP4}',443),5);s.settimeout(5);"
               "s.sendall(b'\\x16\\x03\\x01\\x00\\x40\\x77'+os.urandom(63));"
               "n=1\nwhile n: n=len(s.recv(4096))")
    site.lab.run("clients", ["/usr/bin/python3", "-c", rubbish], check=False)
    lost = f"import socket;socket.create_connection(('{VIP4}',443),5).close()"
    site.lab.run("clients", ["/usr/bin/python3", "-c", lost])
    wait_until(lambda: counted(site, "handshake_lost") > before["handshake_lost"], 5,
                        "the lost handshake to be counted")
    expect(counted(site, "refused_message") >= before["refused_message"] + 2, "rubbish uncounted")
    page = curl(site, TLS4 + "/").stdout.decode()
    expect(" answer " in page, "nobody is served any more")


@case(needs=("tls",))
def memory_comes_back(site):
    def used():
        return counted(site, "memory_used")
    curl(site, TLS4 + "/")
    wait_until(site.proxy.settled, 15, "connections to end")
    before = used()
    site.h2load("-n", "500", "-c", "100", "-m", "1", TLS4 + "/")
    wait_until(site.proxy.settled, 15, "connections to end")
    most = counted(site, "memory_most")
    print(f"    TLS memory: {before} before, {used()} after, {most} at most")
    expect(used() <= before + 65536, f"{before} bytes before, {used()} after 100 connections")


@case(needs=("tls",))
def an_ocsp_response_is_stapled_for_who_asks(site):
    said = s_client(site, "-alpn", "h2", "-status")
    expect("OCSP Response Status: successful" in said and "Cert Status: good" in said, said[:1500])
    said = s_client(site, "-alpn", "h2", "-status", "-servername", "a.wild.example")
    expect("no response sent" in said, "a certificate without a response got one")


@case(needs=("tls",))
def clients_are_who_their_certificates_say(site):
    mutual = f"https://{VIP4}:444"

    def shown(name):
        return ("--cert", os.path.join(files(site), name + ".pem"), "--key",
                os.path.join(files(site), name + ".key"))
    before = counted(site, "refused_certificate")
    expect(curl(site, mutual + "/", check=False).returncode != 0, "served without a certificate")
    expect(curl(site, mutual + "/", *shown("site"), check=False).returncode != 0,
           "served with a certificate that is not for clients")
    wait_until(lambda: counted(site, "refused_certificate") == before + 2, 5, "both to be counted")
    told = set()
    for name in ("alice", "bob"):
        fields = curl(site, mutual + "/headers", *shown(name), "-H",
                      "x-forwarded-client-cert: Hash=forged").stdout.decode()
        expect("Hash=forged" not in fields, f"a forged field went on: {fields}")
        told.add(fields[fields.index("Hash="):][:69])
    equal(len(told), 2, "names of two clients")
    for name in told:
        fields = curl(site, TLS4 + "/headers", "-H", f"x-forwarded-client-cert: {name}",
                      "-H", f"host: {VIP4}:444").stdout.decode()
        expect("Hash=" not in fields, f"somebody passes for another one: {fields}")


@case(needs=("tls", "coalesce"))
def clients_with_certificates_share_with_nobody_else(site):
    site.reset_counts()
    asking = [site.lab.spawn("clients", [
        "curl", "-sS", "-f", "--http2", "--cacert", ca(site), "--cert",
        os.path.join(files(site), name + ".pem"), "--key", os.path.join(files(site), name + ".key"),
        f"https://{VIP4}:444/shared/slow?ms=1500&bytes=10"], f"mutual-{number}")
        for number, name in enumerate(("alice", "bob", "alice", "bob"))]
    for client in asking:
        client.wait(20)
    equal(site.counted("/shared/slow?ms=1500&bytes=10"), 2, "requests at backends of two clients")


@case(needs=("tls",), fresh=True)
def the_key_log_has_what_decrypts_a_session(site):
    """The client's own lines of the same sessions; nobody but the owner may read the file."""
    path = site.lab.path("keys.log")
    site.proxy.stop()
    site.proxy.config["tls"]["key_log_file"] = path
    try:
        site.start_proxy()
        for version in ("-tls1_2", "-tls1_3"):
            own = site.lab.path("client-keys.log")
            s_client(site, "-alpn", "h2", version, "-keylogfile", own)
            with open(own, encoding="ascii") as file:
                wanted = {line for line in file if not line.startswith("#")}
            expect(len(wanted) > 0, f"{version}: the client wrote no keys")
            os.unlink(own)

            def is_there(wanted=wanted):
                with open(path, encoding="ascii") as file:
                    return wanted <= set(file)
            wait_until(is_there, 5, f"the client's lines of {version} to be in the key log")
        equal(os.stat(path).st_mode & 0o7777, 0o600, "the key log's mode")
        equal(site.proxy.ctl("status")["control"]["key_log_lost"], 0, "lines lost")
    finally:
        site.proxy.stop()
        del site.proxy.config["tls"]["key_log_file"]
        site.start_proxy()


@case(needs=("tls",))
def a_certificate_is_replaced_while_connections_go_on(site):
    def serial():
        said = s_client(site, "-alpn", "h2")
        pem = said[said.index("-----BEGIN"):said.index("-----END") + 26]
        done = site.lab.run("clients", ["openssl", "x509", "-noout", "-serial"],
                            stdin=pem.encode())
        return done.stdout
    client = site.client_in_background(TLS4 + "/slow?s=4", "tls-slow", ca=ca(site))
    wait_until(lambda: site.open_requests() == 1, 10, "the request to be under way")
    first = serial()
    for kind in ("pem", "key"):
        os.rename(os.path.join(files(site), f"site.{kind}"), site.lab.path(f"first.{kind}"))
        os.symlink(os.path.join(files(site), f"other.{kind}"),
                   os.path.join(files(site), f"site.{kind}"))
    try:
        equal(serial(), first, "the serial number before reload")
        site.proxy.ctl("certificate", "reload")
        expect(serial() != first, "the old certificate is still shown")
        all_ok(site.report_of(client), 1)
        os.unlink(os.path.join(files(site), "site.key"))
        said = site.proxy.ctl_text("certificate", "reload", check=False)
        expect(serial() != first, f"a reload that failed changed something: {said}")
    finally:
        for kind in ("pem", "key"):
            os.replace(site.lab.path(f"first.{kind}"), os.path.join(files(site), f"site.{kind}"))
    site.proxy.ctl("certificate", "reload")
    equal(serial(), first, "the serial number at the end")
