"""How much a proxy's counters have grown since a moment."""

# Why a request may have reached the backends more than once, or not at all.
REASONS = ("coalesce.retries_", "coalesce.connects_moved", "coalesce.failed_",
           "upstream.suspicions", "upstream.attempts_", "upstream.connections_",
           "worker.gaps", "worker.missed_us")


class Growth:
    """Since it was made. Growth(site, "tcp").cookies_accepted is that counter's growth."""

    def __init__(self, site, layer=""):
        self.site, self.layer = site, layer
        self.before = self.read()

    def read(self):
        if not hasattr(self.site.proxy, "ctl"):
            return {}
        counters = self.site.proxy.ctl("stats", self.layer)["counters"]
        return {name: value["sum"] for name, value in counters.items()}

    def all(self):
        """{name: growth}, without those that did not grow."""
        return {name: value - self.before.get(name, 0) for name, value in self.read().items()
                if value != self.before.get(name, 0)}

    def __getattr__(self, name):
        return self.all().get(f"{self.layer}.{name}", 0)

    def reasons(self):
        """For the message of a count that is not as expected."""
        return "".join(f"\n  {name} +{value}" for name, value in self.all().items()
                       if name.startswith(REASONS))
