"""Every byte arrives: digests of computable bodies, both directions, odd and even sizes."""
from case import all_ok, case
from edge_site import URL4, URL6

MIB = 1 << 20
SMALL = (0, 1, 2, 100, 1023, 1024, 1459, 1460, 1461, 16383, 16384, 16385, 65535, 65536, 100_000)


@case()
def downloads_of_many_sizes_are_exact(site):
    for url in (URL4, URL6):
        for size in (*SMALL, MIB, 10 * MIB):
            all_ok(site.client(f"{url}/bytes?n={size}&seed={size}", expect_size=size,
                               expect_seed=size), 1)


@case()
def downloads_without_content_length_are_exact(site):
    for size in (0, 1, 16384, MIB + 1):
        all_ok(site.client(f"{URL4}/bytes?n={size}&seed=n&cl=0", expect_size=size,
                           expect_seed="n"), 1)


@case()
def uploads_of_many_sizes_are_exact(site):
    for url in (URL4, URL6):
        for size in (*SMALL, MIB, 10 * MIB):
            all_ok(site.client(f"{url}/echo", method="POST", body_size=size, body_seed=size,
                               check_upload=True), 1)


@case()
def uploads_without_content_length_are_exact(site):
    for size in (0, 1, 16384, MIB + 1):
        all_ok(site.client(f"{URL4}/echo", method="POST", body_size=size, body_seed="u",
                           check_upload=True, declare_length=0), 1)


@case()
def a_body_echoed_while_it_is_sent_is_exact(site):
    all_ok(site.client(f"{URL4}/echo?body=1", method="POST", body_size=10 * MIB, body_seed="e",
                       expect_size=10 * MIB, expect_seed="e"), 1)


@case(timeout_s=180)
def a_download_of_100_mib_is_exact(site):
    all_ok(site.client(f"{URL4}/bytes?n={100 * MIB}&seed=big", expect_size=100 * MIB,
                       expect_seed="big", timeout=150, run_timeout_s=170), 1)


@case(timeout_s=180)
def an_upload_of_100_mib_is_exact(site):
    all_ok(site.client(f"{URL6}/echo", method="POST", body_size=100 * MIB, body_seed="big",
                       check_upload=True, timeout=150, run_timeout_s=170), 1)


@case()
def many_bodies_share_a_connection(site):
    """Different sizes at once on few connections: windows are shared, nothing is mixed up."""
    all_ok(site.client(f"{URL4}/bytes?n=300000&seed=m", count=100, connections=4,
                       expect_size=300000, expect_seed="m"), 100)
    all_ok(site.client(f"{URL4}/echo", method="POST", count=100, connections=4, body_size=300000,
                       body_seed="m", check_upload=True), 100)


@case()
def a_small_window_and_a_slow_reader_get_everything(site):
    all_ok(site.client(f"{URL4}/bytes?n=500000&seed=w", window=1000, expect_size=500000,
                       expect_seed="w"), 1)
    all_ok(site.client(f"{URL4}/bytes?n=2000000&seed=s", window=65535, read_delay_ms=20,
                       expect_size=2000000, expect_seed="s"), 1)
