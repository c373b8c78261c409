"""What passes through takes constant memory, however much it is and however slow its reader."""
import json

from case import case, equal, expect
from edge_site import URL4, wait_until

KIB, MIB = 1 << 10, 1 << 20
SIZE = 128 * MIB           # twice the payload memory of a worker
RATE = 14 * MIB            # a second, which the other side could do faster
SEGMENT = 4 * KIB
# A stream's window at its largest, what one reader may be behind or what is kept to be sent again,
# and the send queue of one connection; and sections, keys and probes beside them.
MOST = MIB + 256 * KIB + 256 * KIB + 512 * KIB


def in_use(site):
    """Bytes of objects of flights, all workers together; an object is a segment at most."""
    workers = site.proxy.ctl("worker", "list")["workers"]
    return SEGMENT * sum(worker["held_by_flights"] for worker in workers)


def watch(site, transfer, what):
    """The most that is in use until the transfer has ended."""
    samples = []

    def ended():
        samples.append(in_use(site))
        return not transfer.alive()

    wait_until(ended, 60, what)
    expect(len(samples) > 10 and max(samples) > 0, f"seen too little of it: {samples}")
    expect(max(samples) <= MOST, f"{max(samples)} bytes in use, expected {MOST} at most")


def curl_in_background(site, label, *options):
    return site.lab.spawn("clients", ["curl", "-sS", "-f", "--http2-prior-knowledge", "--max-time",
                                      "60", *options], label)


@case(needs=("held-bytes",), timeout_s=90)
def a_download_that_is_read_slowly_takes_constant_memory(site):
    download = curl_in_background(site, "download", "--limit-rate", str(RATE), "-o", "/dev/null",
                                  "-w", "%{size_download}\n", f"{URL4}/bytes?n={SIZE}")
    watch(site, download, "the download to end")
    equal(download.log().split(), [str(SIZE)], "bytes that arrived")


@case(needs=("held-bytes",), timeout_s=90)
def an_upload_that_is_read_slowly_takes_constant_memory(site):
    source = site.lab.path("upload")
    with open(source, "wb") as file:
        file.truncate(SIZE)
    upload = curl_in_background(site, "upload", "-T", source, "-X", "POST",
                                f"{URL4}/echo?rate={RATE}")
    watch(site, upload, "the upload to end")
    equal(json.loads(upload.log())["length"], SIZE, "bytes that arrived")
