-- What the scripts for Pktgen-DPDK share. Settings come from the environment of Pktgen:
--
--   WEIR_MAC      of Weir's port (weirctl port list); without it: from ARP
--   WEIR_ADDRESS  Weir's IPv4 address there, 10.9.0.80
--   OUR_ADDRESS   ours with its network, 10.9.0.1/16
--   WEIR_PORT     80
--   RATE          percent of the port's rate, 100
--   SECONDS       10
--   PORT          Pktgen's port, 0

local weir = {}

local function setting(name, default)
  local value = os.getenv(name)
  if value == nil or value == "" then return default end
  return value
end

weir.port = setting("PORT", "0")
weir.mac = setting("WEIR_MAC", nil)
weir.address = setting("WEIR_ADDRESS", "10.9.0.80")
weir.ours = setting("OUR_ADDRESS", "10.9.0.1/16")
weir.tcp_port = tonumber(setting("WEIR_PORT", "80"))
weir.rate = tonumber(setting("RATE", "100"))
weir.seconds = tonumber(setting("SECONDS", "10"))

-- Addresses, both ends; Pktgen answers ARP and echo requests for its own (process).
function weir.prepare()
  pktgen.stop(weir.port)
  pktgen.clear(weir.port)
  pktgen.set_ipaddr(weir.port, "src", weir.ours)
  pktgen.set_ipaddr(weir.port, "dst", weir.address)
  pktgen.process(weir.port, "on")
  pktgen.icmp_echo(weir.port, "on")
  pktgen.send_arp(weir.port, "g") -- Weir learns where we are
  if weir.mac ~= nil then
    pktgen.set_mac(weir.port, "dst", weir.mac)
  else
    pktgen.mac_from_arp("on")
    pktgen.send_arp(weir.port, "r")
  end
  pktgen.set(weir.port, "count", 0) -- until it is stopped
  pktgen.set(weir.port, "rate", weir.rate)
  pktgen.delay(500)
end

-- Sends for weir.seconds and tells what went and came.
function weir.run(what)
  pktgen.start(weir.port)
  pktgen.delay(math.floor(weir.seconds * 1000))
  pktgen.stop(weir.port)
  pktgen.delay(200)
  local stats = pktgen.portStats(weir.port, "port")[tonumber(weir.port)]
  print(string.format("%s: %d packets sent, %.0f a second, %d came back", what, stats.opackets,
                      stats.opackets / weir.seconds, stats.ipackets))
  return stats
end

-- Packets are those of the pcap file that Pktgen was started with (-s PORT:FILE).
function weir.replay(what)
  weir.prepare()
  pktgen.pcap(weir.port, "on")
  local stats = weir.run(what)
  pktgen.pcap(weir.port, "off")
  return stats
end

return weir
