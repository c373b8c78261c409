"""The host's own traffic on the same interface stays with its kernel (an ssh session, say)."""
import os

from case import case, equal, expect
from edge_site import PYTHON, SUPPORT, URL4, wait_until
from netlab import CLIENT4, HOST4, HOST6


@case()
def a_session_with_the_host_is_untouched(site):
    service = site.lab.spawn("edge", [PYTHON, f"{SUPPORT}/host_session.py", "serve"], "host")
    wait_until(lambda: "ready" in service.log(), 10, "the host's own service")
    try:
        for address in (HOST4, HOST6):
            session = site.lab.spawn("clients", [PYTHON, f"{SUPPORT}/host_session.py", "talk",
                                                 address, "--seconds", "3"], "session")
            site.h2load("-n", "3000", "-c", "10", "-m", "10", URL4 + "/")
            report = site.report_of(session)
            equal(report["lost"], 0, "lost lines")
            expect(report["answered"] >= 20, f"only {report['answered']} lines in 3 s")
    finally:
        service.stop()


def capability_sets(pid):
    """Of each thread, its name and the capabilities that count."""
    sets = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as status:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
        sets.append((fields["Name"], int(fields["CapEff"], 16), fields["SigBlk"]))
    return sets


@case(needs=("privileges",))
def what_handles_strangers_has_few_capabilities(site):
    kept = 1 << 1 | 1 << 10 | 1 << 12 | 1 << 39  # DAC_OVERRIDE, NET_BIND_SERVICE, NET_ADMIN, BPF
    sets = capability_sets(site.proxy.process.pid)
    expect(len(sets) >= 3, f"{len(sets)} threads")
    equal([(name, hex(held), blocked) for name, held, blocked in sets if held & ~kept], [],
          "threads with capabilities beyond")


@case()
def the_host_reaches_clients_itself(site):
    service = site.lab.spawn("clients", [PYTHON, f"{SUPPORT}/host_session.py", "serve"], "peer")
    wait_until(lambda: "ready" in service.log(), 10, "a service of the client")
    try:
        done = site.lab.run("edge", [PYTHON, f"{SUPPORT}/host_session.py", "talk", CLIENT4,
                                     "--seconds", "1"], check=False)
        equal(done.returncode, 0, f"host to client: {done.stderr.decode()}")
    finally:
        service.stop()
