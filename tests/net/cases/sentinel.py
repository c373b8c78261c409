"""Three nodes, three Redis with Sentinels: the agreed state outlives the loss of any of them."""
from case import case, equal, expect
from cluster_site import REDIS
from edge_site import wait_until

NEEDS = ("cluster",)
ONE = (1,)                                # nodes enough: their workers say nothing more here


def wait_connected(site):
    wait_until(lambda: all(node.store_connected() for node in site.nodes.values()),
               60 * site.slowness(), "all nodes to find the store")


def order(site, node, *words):
    """An operator's change, at one node, honoured by all."""
    before = site.cluster.epoch()
    site.nodes[node].ctl("region", *words)
    wait_until(lambda: site.cluster.epoch() > before and site.cluster.same_epoch(),
               30 * site.slowness(), "the change at all nodes")


@case(needs=NEEDS, workers=ONE, timeout_s=180, site="cluster")
def a_change_is_honoured_by_all_and_audited_once(site):
    order(site, "node-1", "drain", "us")
    equal([node.region("us")["active"] for node in site.nodes.values()], [False] * 3, "us")
    order(site, "node-3", "undrain", "us")
    orders = [entry["what"] for _, entry in site.audit()]
    equal([orders.count("drain"), orders.count("undrain")], [1, 1], "audit entries")
    site.wait_whole()


@case(needs=NEEDS, workers=ONE, fresh=True, timeout_s=240, site="cluster")
def a_user_with_only_the_rights_of_the_manual_is_enough(site):
    keys = ("~weir:{net}:* &weir:{net}:* -@all +multi +exec +set +time +role +hgetall +get +pttl "
            "+eval +hset +xadd +xrevrange +publish +subscribe")
    for host in site.redis_hosts.values():
        host.cli("acl", "setuser", "weir", "on", ">of-weir", *keys.split())
        host.ask_sentinel("acl", "setuser", "asker", "on", ">of-asker", "-@all",
                          "+sentinel|get-master-addr-by-name")
    site.nodes["node-1"].apply(
        user="weir", password_file=site.secret("weir-password", "of-weir"), sentinel_user="asker",
        sentinel_password_file=site.secret("asker-password", "of-asker"))
    site.redis_hosts["redis-1"].cli("client", "kill", "type", "normal")
    wait_connected(site)
    wait_until(lambda: "user=weir" in site.master().cli("client", "list"), 30, "the user's login")
    order(site, "node-1", "drain", "us")
    order(site, "node-1", "undrain", "us")


@case(needs=NEEDS, workers=ONE, timeout_s=240, site="cluster")
def a_master_that_is_made_a_replica_is_left_for_the_new_one(site):
    """Sentinel's own fail-over on request: nothing dies, the roles change."""
    old, epoch = site.master(), site.cluster.epoch()
    old.ask_sentinel("sentinel", "failover", "weir")
    wait_until(lambda: site.master() is not old, 60 * site.slowness(), "another master")
    wait_until(lambda: old.role() != "master", 60 * site.slowness(), "the old one to follow")
    wait_until(lambda: site.master().cli("client", "list").count("cmd=exec") == 3,
               60 * site.slowness(), "all nodes at the new one")
    order(site, "node-2", "drain", "us")
    equal([entry["what"] for _, entry in site.audit()][-1], "drain", "the last change at the new one")
    order(site, "node-2", "undrain", "us")
    expect(site.cluster.epoch() >= epoch + 2, "no epoch came back")
    site.wait_whole()


@case(needs=NEEDS, workers=ONE, timeout_s=240, site="cluster")
def two_of_three_sentinels_may_be_away(site):
    for name in list(REDIS)[:2]:
        site.redis_hosts[name].sentinel.kill()
    site.redis_hosts["redis-1"].cli("client", "kill", "type", "normal")
    wait_connected(site)
    order(site, "node-1", "drain", "us")
    order(site, "node-1", "undrain", "us")
