"""TLS towards clients that negotiate anew or send records that are too long."""
from case import case, expect
from cases.tls import TLS4, ca, counted, curl, s_client
from netlab import VIP4, wait_until

# A record's header with one byte too many, in clear text or after the handshake, and what comes back.
TOO_LONG = """
import socket, ssl, sys
address, ca, when = sys.argv[1:]
plain = socket.create_connection((address, 443), 10)
if when == "hello":
    plain.sendall(bytes((22, 3, 1)) + (16384 + 1).to_bytes(2, "big") + bytes(16384 + 1))
    said = plain.recv(7)
    assert said[0] == 21 and said[5:] == bytes((2, 22)), f"no alert record_overflow: {said}"
    sys.exit()
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = ssl.TLSVersion[when]
context.set_alpn_protocols(["h2"])
came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(came, goes, server_hostname=address)

def until_done(step):
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            plain.sendall(goes.read())
            bytes_in = plain.recv(65536)
            came.write(bytes_in) if bytes_in else came.write_eof()

until_done(tls.do_handshake)
plain.sendall(goes.read())
most = 16384 + (2048 if when == "TLSv1_2" else 256)
plain.sendall(bytes((23, 3, 3)) + (most + 1).to_bytes(2, "big") + bytes(most + 1))
try:
    while until_done(lambda: tls.read(65536)):
        pass
    sys.exit("the stream ended without an alert")
except ssl.SSLError as error:
    assert "RECORD_OVERFLOW" in str(error), f"another alert: {error}"
"""


def is_served(site):
    page = curl(site, TLS4 + "/").stdout.decode()
    expect(" answer " in page, f"unexpected page {page!r}")


@case(needs=("tls",))
def nothing_is_negotiated_anew(site):
    before = counted(site, "handshakes")
    said = s_client(site, "-alpn", "h2", "-tls1_2", text=b"R\n")
    expect("RENEGOTIATING" in said and "no renegotiation" in said, said[-800:])
    expect("Secure Renegotiation IS supported" in said, said[-2000:])
    is_served(site)
    expect(counted(site, "handshakes") == before + 2, "a connection had two handshakes")


@case(needs=("tls",))
def records_that_are_too_long_end_a_connection(site):
    for when, counter in (("hello", "refused_message"), ("TLSv1_2", "records_broken"),
                          ("TLSv1_3", "records_broken")):
        before = counted(site, counter)
        site.lab.run("clients", ["/usr/bin/python3", "-c", TOO_LONG, VIP4, ca(site), when])
        wait_until(lambda counter=counter, before=before: counted(site, counter) == before + 1, 5,
                   f"{counter} to be counted for {when}")
    is_served(site)
