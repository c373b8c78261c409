-- Echo and ARP requests: first a few that Pktgen makes itself, of which the answers are seen; then those
-- of a pcap file as fast as they go, if Pktgen was started with one: -s 0:FILE, made by make_pcap.py
-- icmp-arp, and REPLAY=1.

package.path = package.path .. ";scripts/pktgen/?.lua"
local weir = require("weir")

weir.prepare()
for _ = 1, 10 do
  pktgen.send_arp(weir.port, "r")
  pktgen.ping4(weir.port)
  pktgen.delay(100)
end
local stats = pktgen.portStats(weir.port, "port")[tonumber(weir.port)]
print(string.format("ARP and echo: %d packets came back", stats.ipackets))

if os.getenv("REPLAY") == "1" then
  weir.replay("ICMP and ARP")
end
