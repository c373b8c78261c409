-- region_bulk: decides many cases in one EVAL. `decide(redis, KEYS, ARGV)` stands before this text:
-- the whole of control/region_cas.lua, whose Redis is played by the table below.
--
-- ARGV  case after case: seconds, microseconds of the time; then lists, each a count and its
--       elements: the hash, votes (key, text, ms left), keys, arguments of the script
-- Gives for each case {what the script gave, audit entries, hints}.

local at = 0

local function take()
    at = at + 1
    return ARGV[at]
end

local function take_list()
    local list = {}
    for i = 1, tonumber(take()) do
        list[i] = take()
    end
    return list
end

local function take_case()
    local case = {time = {take(), take()}, hash = {}, votes = {}, audits = 0, hints = 0}
    local hash, votes = take_list(), take_list()
    for i = 1, #hash, 2 do
        case.hash[hash[i]] = hash[i + 1]
    end
    for i = 1, #votes, 3 do
        case.votes[votes[i]] = {text = votes[i + 1], left = tonumber(votes[i + 2])}
    end
    case.keys, case.arguments = take_list(), take_list()
    return case
end

local commands = {}

function commands.TIME(case)
    return case.time
end

function commands.HGETALL(case)
    local flat = {}
    for field, value in pairs(case.hash) do
        table.insert(flat, field)
        table.insert(flat, value)
    end
    return flat
end

function commands.HSET(case, _, ...)
    local flat = {...}
    for i = 1, #flat, 2 do
        case.hash[flat[i]] = flat[i + 1]
    end
end

function commands.GET(case, key)
    return case.votes[key] and case.votes[key].text or false
end

function commands.PTTL(case, key)
    return case.votes[key] and case.votes[key].left or -2
end

function commands.XADD(case)
    case.audits = case.audits + 1
end

function commands.PUBLISH(case)
    case.hints = case.hints + 1
end

local results = {}
while at < #ARGV do
    local case = take_case()
    local server = {call = function(name, ...) return commands[name](case, ...) end}
    local given = decide(server, case.keys, case.arguments)
    table.insert(results, {given, case.audits, case.hints})
end
return results
