"""Many requests, many connections: none is lost."""
from case import all_ok, case, equal, expect
from edge_site import URL4, URL6
from growth import Growth


def none_lost(result, total):
    equal((result["succeeded"], result["failed"], result["errored"], result["2xx"]),
          (total, 0, 0, total), "h2load (succeeded, failed, errored, 2xx)\n" + result["text"])


@case()
def ten_thousand_requests_on_one_connection(site):
    growth = Growth(site)
    none_lost(site.h2load("-n", "10000", "-c", "1", "-m", "50", URL4 + "/"), 10000)
    found = site.counted("/")
    expect(found == 10000,
           f"{found} requests at the backends, 10000 asked; counted:{growth.reasons()}")


@case()
def ten_thousand_answers_on_one_connection_are_all_different(site):
    """Each backend numbers its answers: two equal ones would be one answer delivered twice."""
    report = site.client(URL4 + "/direct", count=10000, concurrency=50)
    all_ok(report, 10000)
    equal(len(report["bodies"]), 10000, "different bodies")


@case()
def a_thousand_connections(site):
    for url in (URL4, URL6):
        none_lost(site.h2load("-n", "4000", "-c", "1000", "-m", "1", url + "/"), 4000)


@case()
def connections_in_quick_succession(site):
    for _ in range(5):
        none_lost(site.h2load("-n", "200", "-c", "200", "-m", "1", URL4 + "/"), 200)


@case()
def small_uploads_in_parallel(site):
    path = site.lab.path("upload")
    with open(path, "wb") as file:
        file.write(b"x" * 700)
    none_lost(site.h2load("-n", "3000", "-c", "20", "-m", "10", "-d", path, URL4 + "/echo"), 3000)
