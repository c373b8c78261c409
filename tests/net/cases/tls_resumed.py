"""Sessions with other people's TLS servers are resumed: the servers say so.

nginx, Node.js and openssl s_server beside eu-1, each once with TLS 1.2 and once with 1.3. Every
answer ends its connection and says whether that was resumed.
"""
import copy
import os

from case import case, expect
from cases.grpc import address_of, apply
from cases.http1 import listens
from edge_site import URL4, tls_directory, wait_until

HOST = "eu-1"
VERSIONS = {"1.2": 8451, "1.3": 8455}       # and the next ports
SERVERS = ("nginx", "node", "openssl")
# What each says of a connection that was resumed.
RESUMED = {"nginx": "r", "node": "resumed", "openssl": "Reused, "}

NODE = """
const https = require('https'), fs = require('fs');
const [address, port, version, certificate, key] = process.argv.slice(1);
https.createServer({cert: fs.readFileSync(certificate), key: fs.readFileSync(key),
                    minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version},
  (request, response) => {
    response.setHeader('connection', 'close');
    response.end(request.socket.isSessionReused() ? 'resumed' : 'full');
  }).listen(port, address);
"""


def port_of(server, version):
    return VERSIONS[version] + SERVERS.index(server)


def files(site):
    return [os.path.join(tls_directory(site.lab), "backend" + end) for end in (".pem", ".key")]


def nginx_argv(site, address, version):
    directory = site.lab.path(f"nginx-tls{version}")
    os.makedirs(directory, exist_ok=True)
    certificate, key = files(site)
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""daemon off; master_process off; pid {directory}/pid; error_log stderr;
events {{}}
http {{ access_log off;
  server {{ listen {address}:{port_of("nginx", version)} ssl; keepalive_timeout 0;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv{version};
    ssl_session_cache shared:all:1m; ssl_session_tickets on;
    location / {{ return 200 "$ssl_session_reused"; }} }} }}
""")
    return ["nginx", "-p", directory, "-c", path, "-e", "stderr"]


def commands(site, address, version):
    certificate, key = files(site)
    return {
        "nginx": nginx_argv(site, address, version),
        "node": ["node", "-e", NODE, address, port_of("node", version), version, certificate, key],
        "openssl": ["openssl", "s_server", "-accept", f"{address}:{port_of('openssl', version)}",
                    "-cert", certificate, "-key", key, "-www", "-quiet",
                    "-tls" + version.replace(".", "_")],
    }


def with_server(site, server, version, address):
    config = copy.deepcopy(site.proxy.config)
    config["services"].append({
        "name": "resumed", "protocol": "h1",
        "health": {"probe": "tcp", "interval_up": "10s", "interval_down": "1s",
                   "eject_failures": 100},
        "regions": {"eu": {
            "tls": {"ca_file": os.path.join(tls_directory(site.lab), "ca.pem"),
                    "server_name": "backend.example"},
            "backends": [{"name": "resumed", "address": address,
                          "port": port_of(server, version)}]}}})
    config["routes"].append({"name": "resumed", "path": "/resumed", "service": "resumed"})
    return config


def page(site):
    return site.curl(URL4 + "/resumed", "--max-time", "5", check=False).stdout.decode()


def check_server(site, server, version):
    address = address_of(site, HOST)
    counter = "tls.backend_resumed"
    process = site.lab.spawn(HOST, commands(site, address, version)[server],
                             f"{server}-tls{version}")
    try:
        wait_until(lambda: listens(site, address, port_of(server, version)), 20,
                   f"{server} to listen")
        apply(site, with_server(site, server, version, address), "with-resumed.json")
        wait_until(lambda: page(site) != "", 20, f"a page of {server} with TLS {version}")
        before = site.proxy.ctl("stats")["counters"][counter]["sum"]
        for number in range(5):
            said = page(site)
            expect(RESUMED[server] in said, f"{server}, TLS {version}, page {number}: {said!r}")
        counted = site.proxy.ctl("stats")["counters"][counter]["sum"] - before
        expect(counted >= 5, f"{counter} grew by {counted}")
    finally:
        apply(site, site.proxy.config, "without-resumed.json")
        process.stop()


@case(needs=("tls",), workers=(1,), timeout_s=240)
def nginx_node_and_openssl_resume_what_they_have_begun(site):
    for server in SERVERS:
        for version in VERSIONS:
            check_server(site, server, version)
