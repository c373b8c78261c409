-- What clients send in HTTP/2 sessions, over and over. -s 0:FILE, made by make_pcap.py http2.

package.path = package.path .. ";scripts/pktgen/?.lua"
local weir = require("weir")

weir.replay("HTTP/2 sessions")
