-- A flood of ACKs of connections that do not exist. -s 0:FILE, made by make_pcap.py ack.

package.path = package.path .. ";scripts/pktgen/?.lua"
local weir = require("weir")

weir.replay("ACK flood")
