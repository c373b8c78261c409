-- A flood of SYNs from random sources. Start Pktgen with -s 0:FILE, made by make_pcap.py syn.
-- (Lua cannot set TCP flags in Pktgen; its command line can: syn_range.pkt.)

package.path = package.path .. ";scripts/pktgen/?.lua"
local weir = require("weir")

weir.replay("SYN flood")
