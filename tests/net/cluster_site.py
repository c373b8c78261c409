"""Three nodes of Weir with their own VIPs, two regions, and three Redis with a Sentinel each.

    clients -- front [node-1] back --+
    clients -- front [node-2] back --+-- fabric (a bridge) -- eu-1, eu-2, us-1, us-2
    clients -- front [node-3] back --+                     -- redis-1, redis-2, redis-3

Nodes reach Redis by their kernels, over the same fabric. It stands for edge_site.Site.
"""
import json
import os
import time

from edge_site import PYTHON, SUPPORT, Backend, Site
from netlab import BACKENDS, Lab, LabError, wait_until
import weir

NODES = {f"node-{n}": n for n in (1, 2, 3)}
REDIS = {f"redis-{n}": f"10.1.3.{n}" for n in (1, 2, 3)}
REDIS_PORT, SENTINEL_PORT = 6379, 26379
MASTER = "weir"
PASSWORD, SENTINEL_PASSWORD = "of-redis", "of-sentinel"

# Dwells for which a test can wait. Votes, their age and the store's silence are as by default.
FAILOVER = {
    "nodes": list(NODES), "hard_failure": "2s", "down_dwell": "2s", "degraded_dwell": "3s",
    "up_dwell": "3s", "suspect_clear": "2s", "hold_down": "3s", "hold_down_max": "6s",
    "recover_dwell": "2s", "ramp_step": "1s", "ramp_percent": [25, 100], "down_interval": "5s",
    "correlated": "2s", "freeze": "4s", "penalty_out": 1500, "penalty_half_life": "4s",
}
DWELL_MS = 2000                           # of hard_failure and down_dwell
HEALTH = {"interval_up": "500ms", "interval_doubt": "200ms", "interval_down": "500ms", "rise": 2}
LIMITS = {"client_connections": 256, "streams": 4096, "exchanges": 2048, "flights": 2048,
          "upstream_connections": 64, "time_wait": 1024, "payload_bytes": "16MiB"}


def vip(number):
    return f"10.0.{number}.80"


def kernel_address(node):
    """The node's own, towards the fabric."""
    return f"10.1.9.{NODES[node]}"


class ClusterLab(Lab):
    def _topology(self):
        for name in ("clients", "fabric", *BACKENDS, *NODES, *REDIS):
            self._add_namespace(name)
        self._add_bridge()
        for name, (v4, v6) in BACKENDS.items():
            self._join(name, "eth0")
            self._ip(name, f"addr add {v4}/16 dev eth0")
            self._ip(name, f"addr add {v6}/64 dev eth0 nodad")
        for name, v4 in REDIS.items():
            self._join(name, "eth0")
            self._ip(name, f"addr add {v4}/16 dev eth0")
        for name, number in NODES.items():
            self._node(name, number)

    def _node(self, name, number):
        self._link(name, "front", "clients", name)
        self._join(name, "back", self.queues)
        for place, interface, address in (
                (name, "front", f"10.0.{number}.2/24"), ("clients", name, f"10.0.{number}.1/24"),
                (name, "front", f"fd00:a:{number}::2/64"), (name, "back", f"fd00:b::9:{number}/64"),
                (name, "back", f"{kernel_address(name)}/16")):
            self._ip(place, f"addr add {address} dev {interface}"
                     + (" nodad" if ":" in address else ""))

    def part(self, node, redis, apart=True):
        """What Redis and Sentinel at REDIS say does not reach the node (any more): silence."""
        self._ip(redis, f"route {'replace' if apart else 'del'} blackhole "
                 f"{kernel_address(node)}/32")

    def join_again(self, redis):
        self._ip(redis, "route flush type blackhole")


class Node(weir.Weir):
    """One Weir of the cluster."""

    def __init__(self, site, name):
        super().__init__(site, 1)
        self.namespace = self.label = self.node = name
        self.number = NODES[name]
        self.url = f"http://{vip(self.number)}"

    @property
    def directory(self):
        return self.site.lab.path(self.node)

    def prepare(self):
        config, number = self.config, self.number
        os.makedirs(self.directory, exist_ok=True)
        config.update(node=self.node, idle="adaptive", health=HEALTH, failover=FAILOVER,
                      limits=LIMITS, store=self.site.store())
        front, back = config["ports"]
        for port in (front, back):
            port["mbufs"] = 4096
        front["interfaces"] = [{"addresses": [f"{vip(number)}/24"]}]
        back["interfaces"] = [{"addresses": [f"10.1.0.{10 + number}/16", f"fd00:b::1{number}/64"]}]
        config["listeners"] = [{"name": "web", "address": vip(number), "port": 80}]
        config["services"][0]["health"] = {"probe": "http2", "path": "/healthz"}
        return super().prepare()

    def apply(self, **store):
        """Another configuration of the store, at run time."""
        path = self.site.lab.path(f"{self.node}-applied.json")
        self.config["store"].update(store)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.config, file)
        self.ctl("config", "apply", path)

    def serves(self):
        if not self.alive():
            raise LabError(f"{self.node} ended:\n{self.process.log_tail()}")
        return self.site.lab.run("clients", ["curl", "-sS", "-f", "--max-time", "2",
                                             "--http2-prior-knowledge", self.url + "/"],
                                 check=False).returncode == 0


class Nodes:
    """All nodes, as a runner looks at a proxy."""
    name = "weir"
    features = weir.Weir.features | {"cluster"}

    def __init__(self, nodes):
        self.nodes = nodes

    def alive(self):
        return all(node.alive() for node in self.nodes.values())

    @property
    def process(self):
        """Of the first one that has ended, or of the first."""
        return min(self.nodes.values(), key=lambda node: node.alive()).process

    def complaints(self):
        return "".join(node.complaints() for node in self.nodes.values())

    def settled(self):
        return all(node.settled() for node in self.nodes.values())

    def stop(self):
        for node in self.nodes.values():
            node.stop()


class RedisHost:
    """A redis-server and a Sentinel on a host of their own, both with passwords."""

    def __init__(self, lab, name):
        self.lab, self.name, self.address = lab, name, REDIS[name]
        self.process = self.sentinel = None

    def start(self, replica_of=None):
        argv = ["redis-server", "--port", REDIS_PORT, "--bind", self.address, "--save", "",
                "--appendonly", "no", "--dir", self.lab.directory, "--requirepass", PASSWORD,
                "--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"]
        if replica_of:
            argv += ["--replicaof", replica_of, REDIS_PORT]
        self.process = self.lab.spawn(self.name, argv, self.name)

    def start_sentinel(self, master):
        path = self.lab.path(f"sentinel-{self.name}.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"""port {SENTINEL_PORT}
bind {self.address}
requirepass {SENTINEL_PASSWORD}
sentinel monitor {MASTER} {master} {REDIS_PORT} 2
sentinel auth-pass {MASTER} {PASSWORD}
sentinel sentinel-pass {SENTINEL_PASSWORD}
sentinel down-after-milliseconds {MASTER} 2000
sentinel failover-timeout {MASTER} 6000
""")
        self.sentinel = self.lab.spawn(self.name, ["redis-server", path, "--sentinel"],
                                       f"sentinel-{self.name}")

    def cli(self, *arguments, port=REDIS_PORT, password=PASSWORD, check=True):
        done = self.lab.run(self.name, ["redis-cli", "-h", self.address, "-p", port, "-a", password,
                                        "--no-auth-warning", *arguments], check=check, timeout_s=10)
        return done.stdout.decode().strip()

    def ask_sentinel(self, *arguments):
        return self.cli(*arguments, port=SENTINEL_PORT, password=SENTINEL_PASSWORD, check=False)

    def role(self):
        return self.cli("role", check=False).splitlines()[:1] == ["master"] and "master" or "other"

    def kill(self):
        for process in (self.process, self.sentinel):
            if process:
                process.kill()
        self.process = self.sentinel = None


class Cluster:
    """What of an agreed state the nodes and Redis show."""

    def __init__(self, site):
        self.site = site

    def automatic(self, region):
        """Of each node that lives."""
        return [node.region(region)["automatic"] for node in self.site.nodes.values()
                if node.alive()]

    def agrees(self, region, *states):
        return all(state in states for state in self.automatic(region))

    def same_epoch(self):
        return len({node.region("eu")["epoch"] for node in self.site.nodes.values()}) == 1

    def epoch(self):
        return max(node.region("eu")["epoch"] for node in self.site.nodes.values() if node.alive())


class ClusterSite(Site):
    def __init__(self, proxy_class, workers=1, prefix=None, directory=None):
        # pylint: disable=super-init-not-called
        self.lab = ClusterLab(prefix, queues=1, directory=directory)
        self.workers = 1
        self.backends = {name: Backend(self.lab, name) for name in BACKENDS}
        self.redis_hosts = {name: RedisHost(self.lab, name) for name in REDIS}
        self.nodes = {name: Node(self, name) for name in NODES}
        self.proxy = Nodes(self.nodes)
        self.cluster = Cluster(self)
        self.load = None

    # Redis
    def secret(self, name, text):
        path = self.lab.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        return path

    def store(self):
        return {"kind": "redis", "cluster": "net", "master": MASTER,
                "sentinels": [f"{address}:{SENTINEL_PORT}" for address in REDIS.values()],
                "password_file": self.secret("redis-password", PASSWORD),
                "sentinel_password_file": self.secret("sentinel-password", SENTINEL_PASSWORD)}

    def start_redis(self):
        first, *others = self.redis_hosts.values()
        first.start()
        for host in others:
            host.start(replica_of=first.address)
        wait_until(lambda: first.cli("info", "replication", check=False).count("state=online") == 2,
                   30 * self.slowness(), "the replicas")
        for host in self.redis_hosts.values():
            host.start_sentinel(first.address)
        for host in self.redis_hosts.values():
            wait_until(lambda host=host: "num-other-sentinels\n2" in
                       host.ask_sentinel("sentinel", "master", MASTER), 60 * self.slowness(),
                       "the Sentinels to know each other")

    def redis_is_whole(self):
        return all(process and process.alive() for host in self.redis_hosts.values()
                   for process in (host.process, host.sentinel))

    def master(self):
        """The host that at least two Sentinels name; None while there is none."""
        for host in self.redis_hosts.values():
            named = [other.ask_sentinel("sentinel", "get-master-addr-by-name", MASTER)
                     for other in self.redis_hosts.values() if other.sentinel]
            if sum(host.address in text for text in named) >= 2 and host.process:
                return host
        return None

    def audit(self):
        """[(when in ms of unix time, {field: value})], oldest first."""
        text = wait_until(self.master, 30, "a master").cli("--json", "xrange", "weir:{net}:audit", "-", "+")
        return [(int(number.split("-")[0]), dict(zip(fields[::2], fields[1::2])))
                for number, fields in json.loads(text or "[]")]

    # Site
    def start_all(self):
        if self.load and self.load.alive():  # of a case that has failed
            self.load.kill()
        for name, backend in self.backends.items():
            self.lab.link(name, "up")
            backend.start()
        for name in REDIS:
            self.lab.link(name, "up")
            self.lab.join_again(name)
        for backend in self.backends.values():
            backend.wait_ready()
        if not self.redis_is_whole():
            for host in self.redis_hosts.values():
                host.kill()
            self.start_redis()
        for node in self.nodes.values():
            if not node.alive():
                node.start()
        patience = 60 * self.slowness()
        for node in self.nodes.values():
            wait_until(node.serves, patience, f"{node.node} to serve a page")
        for node in self.nodes.values():
            wait_until(lambda node=node: node.store_connected() and node.region("eu")["epoch"] > 0,
                       patience, f"{node.node} to find the store")

    def start_proxy(self):
        self.start_all()

    def fresh(self):
        """New nodes with an empty store."""
        self.proxy.stop()
        for host in self.redis_hosts.values():
            host.kill()
        for node in self.nodes.values():
            node.forget()
        self.start_all()

    # load
    def steady_load(self, **options):
        argv = [PYTHON, os.path.join(SUPPORT, "steady_client.py")]
        for node in self.nodes.values():
            argv += ["--target", node.url]
        for name, value in options.items():
            argv += ["--" + name.replace("_", "-"), value]
        load = self.load = self.lab.spawn("clients", argv, "steady")
        wait_until(lambda: "ready" in load.log() or not load.alive(), 30 * self.slowness(),
                   "the load to begin")
        return load

    def wait_agreed(self, region, *states, timeout_s=60):
        wait_until(lambda: self.cluster.agrees(region, *states), timeout_s * self.slowness(),
                   f"all nodes to find {region} {' or '.join(states)}")

    def wait_whole(self):
        """Every region is up for every node, all on the same epoch."""
        for region in ("eu", "us"):
            self.wait_agreed(region, "up")
        wait_until(self.cluster.same_epoch, 30 * self.slowness(), "the same epoch everywhere")


def now_ms():
    """Unix time, as the audit has it."""
    return time.time() * 1000
