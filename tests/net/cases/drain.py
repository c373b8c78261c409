"""SIGTERM: what is open finishes, nothing new begins, the process ends with 0."""
from case import all_ok, case, equal, expect
from edge_site import URL4, wait_until

NEEDS = ("drain",)


@case(needs=NEEDS, fresh=True)
def requests_in_flight_finish_and_the_exit_is_clean(site):
    target = "/slow?ms=2000&key=drain"
    clients = site.client_in_background(URL4 + target, "draining", count=20, connections=4,
                                        events=True)
    wait_until(lambda: site.counted(target) == 20, 10, "requests at the backends")
    site.proxy.process.signal(site.proxy.drain_signal)
    report = site.report_of(clients)
    all_ok(report, 20)
    expect(report["goaways"] >= 4, f"{report['goaways']} GOAWAYs on 4 connections")
    equal(site.proxy.process.wait(40), 0, "exit status")


@case(needs=NEEDS, fresh=True)
def a_draining_proxy_takes_no_new_connections(site):
    target = "/slow?ms=3000&key=drain"
    client = site.client_in_background(URL4 + target, "draining", events=True)
    wait_until(lambda: site.counted(target) == 1, 10, "the request at a backend")
    site.proxy.process.signal(site.proxy.drain_signal)
    wait_until(lambda: "goaway" in client.log(), 10, "GOAWAY")
    late = site.curl(URL4 + "/", "--connect-timeout", "1", "--max-time", "2", check=False)
    expect(late.returncode != 0, "a new connection was served while draining")
    all_ok(site.report_of(client), 1)
    equal(site.proxy.process.wait(40), 0, "exit status")


@case(needs=NEEDS, fresh=True)
def an_operator_drains_a_node_and_takes_it_back(site):
    target = "/slow?ms=2000&key=drain"
    proxy = site.proxy
    for _ in range(2):
        client = site.client_in_background(URL4 + target, "draining", events=True)
        wait_until(lambda: site.open_requests() == 1, 10, "the request at a backend")
        proxy.ctl("node", "drain")
        expect(proxy.ctl("status")["draining"], "status does not say so")
        wait_until(lambda: "goaway" in client.log(), 10, "GOAWAY")
        late = site.curl(URL4 + "/", "--connect-timeout", "1", "--max-time", "2", check=False)
        expect(late.returncode != 0, "a new connection was served while drained")
        all_ok(site.report_of(client), 1)
        wait_until(proxy.settled, 10, "the last connection to end")
        expect(proxy.alive(), "the process has ended")
        proxy.ctl("node", "undrain")
        all_ok(site.client(URL4 + "/", count=20, connections=4), 20)
    proxy.ctl("node", "drain")
    wait_until(proxy.settled, 10, "the last connection to end")
    proxy.process.signal(proxy.drain_signal)
    equal(proxy.process.wait(10), 0, "exit status of a drained process that is told to end")


@case(fresh=True)
def it_starts_again_after_a_kill(site):
    """What a killed process leaves behind (programs, sockets, files) is in nobody's way."""
    for _ in range(3):
        site.proxy.process.kill()
        site.start_proxy()
        all_ok(site.client(URL4 + "/", count=50, connections=4), 50)


@case(fresh=True)
def it_stops_and_starts_several_times(site):
    for _ in range(3):
        site.proxy.stop()
        site.start_proxy()
        all_ok(site.client(URL4 + "/", count=50, connections=4), 50)
