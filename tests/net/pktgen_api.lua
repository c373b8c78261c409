-- Runs the scripts for Pktgen-DPDK with a stand-in for its library that knows the names of Pktgen's own
-- table of functions (app/lpktgenlib.c) and no others, and checks the kinds of their arguments. It shows
-- that a script is well-formed, not that Pktgen does what it wants.
--
--   lua5.4 pktgen_api.lua SCRIPT...

local known = {
  start = "s", stop = "s", clear = "s", delay = "n", process = "ss", icmp_echo = "ss",
  send_arp = "ss", ping4 = "s", pcap = "ss", mac_from_arp = "s", set_mac = "sss",
  set_ipaddr = "sss", set = "ssn", portStats = "ss",
}
local kinds = { s = "string", n = "number" }
local calls

local function checked(name, signature)
  return function(...)
    local count = select("#", ...)
    assert(count == #signature, string.format("%s takes %d arguments, not %d", name, #signature, count))
    for i = 1, count do
      local kind = kinds[signature:sub(i, i)]
      assert(type((select(i, ...))) == kind, string.format("%s: argument %d is a %s", name, i, kind))
    end
    calls[#calls + 1] = name
    if name == "portStats" then
      return { [0] = { opackets = 1000, ipackets = 10 } }
    end
  end
end

pktgen = setmetatable({}, {
  __index = function(_, name)
    error("Pktgen has no " .. name)
  end,
})
for name, signature in pairs(known) do
  rawset(pktgen, name, checked(name, signature))
end

for _, script in ipairs(arg) do
  calls = {}
  dofile(script)
  local joined = table.concat(calls, " ")
  assert(#calls == 0 or script:find("weir.lua", 1, true) == nil, "a library calls nothing")
  print(script .. ": " .. joined)
end
