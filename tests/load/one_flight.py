"""Weir with one worker and weir-load, where everybody asks the same: what fanout and coalesce share."""
import hugepages
from memif_site import MemifSite

STREAMS = 50                    # of a connection
LIMITS = {"client_connections": 4096, "exchanges": 32768, "streams": 65536, "flights": 1024,
          "time_wait": 4096, "payload_bytes": "64MiB"}


def site(spin=True):
    """Clients have 64 addresses, so that none of them lacks its share. SPIN: for costs and latencies."""
    return MemifSite(limits=LIMITS, idle="poll" if spin else "adaptive", mbufs=32768, cpu=1,
                     huge=hugepages.are_there(), extra={"coalesce": {"mode": "get"}})


def ask(running, asked, path, body_bytes, connections=None, streams=STREAMS):
    """All ask for one path, STREAMS at a time on each connection. weir-load's result: every byte of
    every answer was compared."""
    spin = ("--poll",) if running.idle == "poll" else ()
    return running.load("--connections", connections or -(-asked // streams), "--streams", streams,
                        "--requests", asked, "--paths", 1, "--path", path, "--body-bytes",
                        body_bytes, "--patience", 60, "--cpu", 0, *spin, families=("v4",))
