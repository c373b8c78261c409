-- region_cas: decides a change of the agreed region state inside the store, atomically, by the
-- server's clock. The same rules as control/region_rules.c, which a test compares with this file.
--
-- KEYS  1 state (hash), 2 audit (stream), 3.. the votes of the nodes in the configuration
-- ARGV  "name=value" each: the request, then the thresholds; "field:<name>=value": a whole state
-- Gives {answer, reason, time in ms, the state as HGETALL}. Bounded: 64 votes, 32 regions.

local ask, content = {}, {}
for _, argument in ipairs(ARGV) do
    local name, value = argument:match('^([^=]+)=(.*)$')
    local field = name:match('^field:(.+)$')
    if field then
        content[field] = value
    else
        ask[name] = value
    end
end

local function number(text)
    return tonumber(text) or 0
end

local function integer(value)
    return string.format('%.0f', value)
end

local function limit(name)
    return number(ask[name])
end

local clock = redis.call('TIME')
local now = number(clock[1]) * 1000 + math.floor(number(clock[2]) / 1000)
local alone = ask.alone == '1'
local NOT_HELD = -1
local QUIET = limit('quiet_ms')
local PENALTY_MAX = 100000
local FREEZE_DOUBLINGS = 4
local FLIGHTS_MAX = 1000000000
local UNKNOWN = -1

-- Whether the operator has named the rule: it does not refuse.
local function despite(rule)
    return ask.despite ~= nil and ask.despite:find(rule, 1, true) ~= nil
end

-- The state: numbers and texts by the names of the hash's fields.

local NUMBERS = {
    'epoch', 'stopped', 'stopped_until', 'admit', 'last_down', 'frozen_until', 'frozen_times',
}
local TEXTS = {'change_id', 'incarnation', 'decided_by', 'reason'}
local REGION_NUMBERS = {'expires', 'since', 'downs', 'hold_down_until', 'step', 'step_since', 'penalty',
    'penalty_at', 'kept_out', 'proposed_until', 'rejected_until'}
local REGION_TEXTS = {auto = 'up', before = 'up', override = 'none', reason = '', proposed = 'up',
    evidence = ''}

local function read_state(fields)
    local state = {regions = {}, order = {}}
    for _, name in ipairs(NUMBERS) do
        state[name] = number(fields[name])
    end
    for _, name in ipairs(TEXTS) do
        state[name] = fields[name] or ''
    end
    for name in ask.regions:gmatch('%S+') do
        local region = {}
        for _, field in ipairs(REGION_NUMBERS) do
            region[field] = number(fields['region:' .. name .. ':' .. field])
        end
        for field, default in pairs(REGION_TEXTS) do
            region[field] = fields['region:' .. name .. ':' .. field] or default
        end
        state.regions[name] = region
        table.insert(state.order, name)
    end
    return state
end

local function read_hash(key)
    local fields, flat = {}, redis.call('HGETALL', key)
    for i = 1, #flat, 2 do
        fields[flat[i]] = flat[i + 1]
    end
    return fields
end

local function write_state(state)
    local flat = {}
    local function put(name, value)
        table.insert(flat, name)
        table.insert(flat, value)
    end
    for _, name in ipairs(NUMBERS) do
        put(name, integer(state[name]))
    end
    for _, name in ipairs(TEXTS) do
        put(name, state[name])
    end
    for name, region in pairs(state.regions) do
        for _, field in ipairs(REGION_NUMBERS) do
            put('region:' .. name .. ':' .. field, integer(region[field]))
        end
        for field in pairs(REGION_TEXTS) do
            put('region:' .. name .. ':' .. field, region[field])
        end
    end
    redis.call('HSET', KEYS[1], unpack(flat))
end

-- Votes.

local EVIDENCE = {
    hard = 1, below_suspect = 2, below_recovering = 3, below_degraded = 4, least_clear = 5,
    least_keep = 6, least_recover = 7, least_up = 8, worse = 9, slower = 10,
}

local function read_vote(text, own)
    local epoch, id, blind, agreement, rest = text:match('^v3 (%d+) (%S+) ([01]) (%x+)(.*)$')
    if not epoch then
        return nil
    end
    local vote = {
        own = own, epoch = number(epoch), id = id == '-' and '' or id, blind = blind == '1',
        agreement = agreement, held = {}, flights = {}, capacity = {},
    }
    for name, opinion in rest:gmatch('(%S+)=(%S+)') do
        local held, index = {}, 0
        for value in opinion:gmatch('[^:]+') do
            index = index + 1
            held[index - 4] = number(value)
        end
        vote.held[name], vote.flights[name], vote.capacity[name] = held, held[-1], held[0]
    end
    return vote
end

-- The votes that count: fresh, and when this node decides alone its own only. One with more left
-- than a vote can have was written before the clock was set back: it is older than it looks.
local votes = {}
for i = 3, #KEYS do
    local own = integer(i) == ask.self
    local text = redis.call('GET', KEYS[i])
    local left = redis.call('PTTL', KEYS[i])
    local age = limit('gone_ms') - left
    if text and left >= 0 and age >= 0 and age <= limit('fresh_ms') and (own or not alone) then
        table.insert(votes, read_vote(text, own))
    end
end

local function count_seeing()
    local seeing = 0
    for _, vote in ipairs(votes) do
        if not vote.blind then
            seeing = seeing + 1
        end
    end
    return seeing
end

local function needed(seeing)
    if alone then
        return 1
    end
    return math.max(2, math.floor(seeing / 2) + 1, math.floor((limit('roster') + 1) / 2))
end

local seeing = count_seeing()
local quorum = needed(seeing)

-- For how long beyond DWELL each vote that agrees has held the evidence, longest first.
local function agreeing(name, evidence, dwell)
    local margins = {}
    for _, vote in ipairs(votes) do
        local held = vote.held[name] and vote.held[name][EVIDENCE[evidence]] or NOT_HELD
        local agrees = vote.agreement == ask.agreement or (ask.op == 'approve' and despite('S5'))
        if not vote.blind and agrees and held ~= NOT_HELD and held >= dwell then
            table.insert(margins, held - dwell)
        end
    end
    table.sort(margins, function(a, b) return a > b end)
    return margins
end

-- Transitions: docs/failover.md, "State". The first row that is due wins.

local function always()
    return true
end

-- Halves every half-life, and falls evenly within one: whole numbers, as in C.
local function penalty_left(region)
    local half_life = limit('penalty_half_life_ms')
    local elapsed = math.max(0, now - region.penalty_at)
    local halves = math.floor(elapsed / half_life)
    if halves >= 32 then
        return 0
    end
    local penalty = math.floor(math.min(region.penalty, PENALTY_MAX) / 2 ^ halves)
    return penalty - math.floor(penalty * (elapsed % half_life) / (2 * half_life))
end

local function is_kept_out(region)
    return region.kept_out ~= 0 and penalty_left(region) >= limit('penalty_back')
end

local function hold_down_over(region)
    return now >= region.hold_down_until and not is_kept_out(region)
end

local function last_step(region)
    return region.step + 1 >= limit('ramp_steps')
end

local function step_held(region)
    return now >= region.step_since + limit('ramp_step_ms')
end

local function inner_step_held(region)
    return step_held(region) and not last_step(region)
end

local function last_step_held(region)
    return step_held(region) and last_step(region)
end

local ROWS = {
    {'up', 'suspect', 'hard', 'none_ms', always},
    {'up', 'suspect', 'below_suspect', 'none_ms', always},
    {'up', 'degraded', 'below_degraded', 'degraded_ms', always},
    {'degraded', 'suspect', 'hard', 'none_ms', always},
    {'degraded', 'suspect', 'below_suspect', 'none_ms', always},
    {'degraded', 'up', 'least_up', 'up_ms', always},
    {'suspect', 'down', 'hard', 'hard_ms', always},
    {'suspect', 'down', 'below_suspect', 'down_ms', always},
    {'suspect', 'up', 'least_up', 'clear_ms', always},
    {'suspect', 'degraded', 'least_clear', 'clear_ms', always},
    {'down', 'recovering', 'least_recover', 'recover_ms', hold_down_over},
    {'recovering', 'down', 'hard', 'hard_ms', always},
    {'recovering', 'down', 'below_recovering', 'down_ms', always},
    {'recovering', 'down', 'worse', 'none_ms', always},
    {'recovering', 'down', 'slower', 'none_ms', always},
    {'recovering', 'recovering', 'least_keep', 'none_ms', inner_step_held},
    {'recovering', 'up', 'least_keep', 'none_ms', last_step_held},
}

local EVIDENCE_TEXTS = {
    hard = 'nothing succeeds',
    below_suspect = 'availability below %d %%',
    below_recovering = 'availability below %d %%',
    below_degraded = 'availability below %d %%',
    least_clear = 'availability at least %d %%',
    least_keep = 'availability at least %d %%',
    least_recover = 'availability at least %d %%',
    least_up = 'availability at least %d %%',
    worse = 'errors above %d %% of those before the failure',
    slower = 'first bytes later than %d %% of before the failure',
}

local function evidence_text(evidence)
    return string.format(EVIDENCE_TEXTS[evidence], limit('percent_' .. evidence)):sub(1, 60)
end

-- The state a region should go to now, why, and by which row; or nil.
local function find_due(state, name)
    local region = state.regions[name]
    for _, row in ipairs(ROWS) do
        local from, to, evidence, dwell, condition = unpack(row)
        if from == region.auto and condition(region) then
            local agree = #agreeing(name, evidence, limit(dwell))
            if agree >= quorum then
                return to, string.format('%s for %d ms, %d of %d agree', evidence_text(evidence),
                    limit(dwell), agree, seeing), row
            end
        end
    end
    return nil
end

-- For how long a quorum has asked to take this active region out, or nil. UP counts as SUSPECT.
local function down_asked_for(state, name)
    local region = state.regions[name]
    if region.override ~= 'none' or region.auto == 'down' then
        return nil
    end
    local from = region.auto == 'recovering' and 'recovering' or 'suspect'
    local longest
    for _, row in ipairs(ROWS) do
        if row[1] == from and row[2] == 'down' then
            local asked = agreeing(name, row[3], limit(row[4]))[quorum]
            if asked and (not longest or asked > longest) then
                longest = asked
            end
        end
    end
    return longest
end

-- Safety rules.

local function is_active(region)
    if region.override ~= 'none' then
        return region.override == 'force_up'
    end
    return region.auto ~= 'down'
end

local function is_last_active(state)
    local active = 0
    for _, region in pairs(state.regions) do
        if is_active(region) then
            active = active + 1
        end
    end
    return active <= limit('min_active')
end

local function is_correlated(state, name)
    local own = down_asked_for(state, name)
    for other in pairs(state.regions) do
        local asked = other ~= name and down_asked_for(state, other)
        if own and asked and math.abs(own - asked) <= limit('correlated_ms') then
            return true
        end
    end
    return false
end

local function is_too_fast(state, name)
    local down = 1
    for other, region in pairs(state.regions) do
        if other ~= name and region.auto == 'down' then
            down = down + 1
        end
    end
    if down * 2 > #state.order then
        return true
    end
    return state.regions[name].auto ~= 'recovering' and state.last_down ~= 0 and
        now < state.last_down + limit('down_interval_ms')
end

local function is_stopped(state)
    return state.stopped ~= 0 and (state.stopped_until == 0 or now < state.stopped_until)
end

local function judge(state, name, to, heeds)
    if is_stopped(state) then
        return 'stopped'
    end
    if heeds('S3') and now < state.frozen_until then
        return 'frozen'
    end
    if to ~= 'down' or state.regions[name].override ~= 'none' then
        return 'done'
    end
    if heeds('S3') and is_correlated(state, name) then
        return 'S3'
    end
    if heeds('S1') and is_last_active(state) then
        return 'S1'
    end
    return heeds('S2') and is_too_fast(state, name) and 'S2' or 'done'
end

-- What the mode of the region says to a transition.
local function mode_answer(region, name, row)
    local from, to, evidence = unpack(row)
    local mode = 'auto'
    if to == 'down' then
        mode = ask['on_failure:' .. name]
    elseif from == 'down' then
        mode = ask['on_recovery:' .. name]
    end
    if mode == 'review' and to == 'down' and evidence == 'hard' and
        ask.review_unless_hard == '1' then
        return 'done'
    end
    if mode == 'review' and now < region.rejected_until then
        return 'rejected'
    end
    return mode == 'auto' and 'done' or mode
end

local function judge_row(state, name, row)
    local answer = judge(state, name, row[2], always)
    if answer == 'done' then
        answer = mode_answer(state.regions[name], name, row)
    end
    return answer == 'done' and ask.dry_run == '1' and 'dry_run' or answer
end

-- An operator says that the observers are right: rule S3 has nothing to add.
local function judge_approval(state, name, row)
    local answer = judge(state, name, row[2], function(rule)
        return rule ~= 'S3' and not despite(rule)
    end)
    if answer == 'done' then
        answer = mode_answer(state.regions[name], name, row)
    end
    return (answer == 'review' or answer == 'rejected') and 'done' or answer
end

-- Rule S4.

local function load_of_votes(state)
    local load = 0
    for _, vote in ipairs(votes) do
        for _, name in ipairs(state.order) do
            load = load + math.min(vote.flights[name] or 0, FLIGHTS_MAX)
        end
    end
    return load
end

-- The median of what the votes that see say, the lesser of two.
local function capacity_of(name)
    local values = {}
    for _, vote in ipairs(votes) do
        if not vote.blind then
            table.insert(values, vote.capacity[name] or UNKNOWN)
        end
    end
    table.sort(values)
    return values[math.floor((#values + 1) / 2)] or UNKNOWN
end

-- Of the active regions, or nil: it is not known of one of them.
local function active_capacity(state)
    local sum = 0
    for name, region in pairs(state.regions) do
        local capacity = is_active(region) and capacity_of(name) or 0
        if capacity < 0 then
            return nil
        end
        sum = sum + capacity
    end
    return sum
end

local function active_count(state)
    local active = 0
    for _, region in pairs(state.regions) do
        active = active + (is_active(region) and 1 or 0)
    end
    return active
end

-- Set the limit of admission that fits the state as it is after a change.
local function fit_admission(state, took_out)
    local before = state.admit
    if not took_out and before == 0 then
        return
    end
    state.admit = 0
    local capacity = active_capacity(state)
    if active_count(state) == #state.order or not capacity then
        return
    end
    local fits = math.floor(capacity * limit('capacity_percent') / 100)
    if before ~= 0 or fits < load_of_votes(state) then
        state.admit = math.max(fits, 1)
    end
end

-- Changes.

-- Quiet time since the last DOWN takes from their number.
local function forgive(region)
    if now > region.penalty_at then
        region.downs = math.max(0, region.downs - math.floor((now - region.penalty_at) / QUIET))
    end
end

local function hold_down_for(downs)
    local length = limit('hold_down_ms')
    for _ = 2, downs do
        if length >= limit('hold_down_max_ms') then
            break
        end
        length = length * 2
    end
    return math.min(length, limit('hold_down_max_ms'))
end

local function punish(region)
    forgive(region)
    region.downs = region.downs + 1
    region.hold_down_until = now + hold_down_for(region.downs)
    region.penalty = math.min(penalty_left(region) + limit('penalty'), PENALTY_MAX)
    region.penalty_at = now
    if region.penalty > limit('penalty_out') then
        region.kept_out = 1
    end
end

local function begin_ramp(region)
    region.kept_out = 0
    region.auto, region.step, region.since, region.step_since = 'recovering', 0, now, now
end

local function move(state, region, to)
    local from = region.auto
    if from == 'recovering' and to == 'recovering' then
        region.step, region.step_since = region.step + 1, now
        return
    end
    region.proposed_until, region.rejected_until = 0, 0
    if to == 'suspect' then
        region.before = from
    end
    if to == 'down' then
        punish(region)
        if from ~= 'recovering' and region.override == 'none' then
            state.last_down = now
        end
    end
    region.auto, region.since = to, now
    if to == 'recovering' then
        begin_ramp(region)
    end
end

local function freeze(state)
    if now > state.frozen_until + QUIET then
        state.frozen_times = 0
    end
    local length = limit('freeze_ms') * 2 ^ math.min(state.frozen_times, FREEZE_DOUBLINGS)
    state.frozen_until = now + length
    state.frozen_times = state.frozen_times + 1
end

local function lift_override(region)
    local was_out = region.override ~= 'force_up'
    region.override, region.expires = 'none', 0
    if was_out and (region.auto == 'up' or region.auto == 'degraded') then
        begin_ramp(region)
    end
end

local function audit(state, was)
    local region = ask.region and state.regions[ask.region]
    local seen = {}
    for _, vote in ipairs(votes) do
        table.insert(seen, string.format('%.0f%s', vote.epoch, vote.blind and ' blind' or ''))
    end
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', '10000', '*', 'epoch', integer(state.epoch), 'what',
        ask.op, 'region', ask.region or '', 'from', was or '', 'to', region and region.auto or '',
        'override', region and region.override or '', 'why', state.reason, 'node', ask.node,
        'by', ask.by or '', 'votes', table.concat(seen, ', '), 'needed', integer(quorum), 'admit', integer(state.admit),
        'despite', ask.despite or '')
end

local active_before -- the change

-- Every change ends here: a new epoch with a name of its own.
local function commit(state, why, answer, was)
    state.epoch = state.epoch + 1
    state.change_id = ask.new_change_id
    if state.incarnation == '' then
        state.incarnation = ask.new_incarnation
    end
    state.decided_by = ask.node
    state.reason = why:sub(1, 127)
    if ask.region and answer == 'done' then
        local took_out = active_count(state) < active_before
        if not despite('S4') then
            fit_admission(state, took_out)
        elseif took_out then
            state.admit = 0
        end
    end
    write_state(state)
    audit(state, was)
    redis.call('PUBLISH', KEYS[1] .. ':hint', integer(state.epoch))
    return answer, state.reason
end

local function commit_region(state, why, was)
    state.regions[ask.region].reason = why:sub(1, 127)
    return commit(state, why, 'done', was)
end

local function is_older(state)
    for _, vote in ipairs(votes) do
        if vote.epoch > state.epoch or (vote.epoch == state.epoch and vote.id ~= state.change_id) then
            return true
        end
    end
    return false
end

-- The content is what this node's fresh vote has applied, and no fresh vote has newer.
local function holds_newest(state)
    local own = false
    for _, vote in ipairs(votes) do
        if vote.epoch > state.epoch or (vote.epoch == state.epoch and vote.id > state.change_id) then
            return false
        end
        if vote.own then
            own = vote.epoch == state.epoch and vote.id == state.change_id
        end
    end
    return own
end

local operations = {}

function operations.init(state)
    if state.epoch ~= 0 then
        return 'stale'
    end
    return commit(read_state(content), 'first start', 'done')
end

function operations.move(state)
    local region = state.regions[ask.region]
    local to, why, row = find_due(state, ask.region)
    if to ~= ask.to then
        return 'quorum'
    end
    if ask.dry_run == '1' then
        return 'dry_run'
    end
    local answer = judge_row(state, ask.region, row)
    if answer == 'S3' then
        freeze(state)
        return commit(state, 'rule S3: several regions at once, suspect the observers; frozen', 'S3')
    end
    if answer ~= 'done' then
        return answer
    end
    local was = region.auto
    move(state, region, to)
    return commit_region(state, why, was)
end

-- Keep what waits for review, with its evidence, once.
function operations.propose(state)
    local region = state.regions[ask.region]
    local to, why, row = find_due(state, ask.region)
    if to ~= ask.to then
        return 'quorum'
    end
    local answer = judge_row(state, ask.region, row)
    if answer == 'S3' then
        return 'frozen' -- that is for a move to write
    end
    if answer ~= 'review' then
        return answer == 'done' and 'stale' or answer
    end
    if now < region.proposed_until and region.proposed == to then
        return 'stale'
    end
    region.proposed, region.proposed_until = to, now + limit('proposal_ms')
    region.evidence = why:sub(1, 127)
    return commit(state, 'proposed: ' .. to .. ', as ' .. why, 'done', region.auto)
end

local function despite_text()
    return (ask.despite or '') ~= '' and ' despite ' .. ask.despite or ''
end

-- The evidence must hold now as well: an approval does not outlive what it was given for. It ends
-- a freeze by rule S3: the operator believes the observers.
function operations.approve(state)
    local region = state.regions[ask.region]
    local was = region.auto
    local to, why, row = find_due(state, ask.region)
    if not to then
        return 'quorum'
    end
    local answer = judge_approval(state, ask.region, row)
    if answer ~= 'done' then
        return answer
    end
    move(state, region, to)
    state.frozen_until = 0
    return commit_region(state, why .. '; approved' .. despite_text() .. ' by ' .. ask.by, was)
end

function operations.reject(state)
    local region = state.regions[ask.region]
    if now >= region.proposed_until then
        return 'override'
    end
    region.proposed_until, region.rejected_until = 0, now + limit('proposal_ms')
    return commit(state, region.proposed .. ' rejected by ' .. ask.by, 'done', region.auto)
end

-- Operators' orders.

local ORDERS = {
    drain = 'drained', undrain = 'undrained', force_up = 'forced up', force_down = 'forced down',
    unforce = 'unforced', freeze = 'automation switched off', thaw = 'automation switched on',
}

local function order_text()
    return ORDERS[ask.op] .. despite_text() .. ' by ' .. ask.by
end

local function end_of(ttl)
    return ttl == 0 and 0 or now + ttl
end

local function would_leave_too_few(state, region, active_then)
    return is_active(region) and not active_then and is_last_active(state)
end

local function set_override(state)
    local region = state.regions[ask.region]
    if not despite('S1') and would_leave_too_few(state, region, ask.op == 'force_up') then
        return 'S1'
    end
    region.override, region.expires = ask.op, end_of(limit('ttl_ms'))
    return commit_region(state, order_text(), region.auto)
end

operations.drain, operations.force_up, operations.force_down =
    set_override, set_override, set_override

local function lift(state, why)
    local region = state.regions[ask.region]
    local was = region.auto
    if not despite('S1') and would_leave_too_few(state, region, region.auto ~= 'down') then
        return 'S1'
    end
    lift_override(region)
    return commit_region(state, why, was)
end

local function undo(state)
    local override = state.regions[ask.region].override
    if override == 'none' or (override == 'drain') ~= (ask.op == 'undrain') then
        return 'override'
    end
    return lift(state, order_text())
end

operations.undrain, operations.unforce = undo, undo

function operations.expire(state)
    local region = state.regions[ask.region]
    if region.override == 'none' or region.expires == 0 or now < region.expires then
        return 'override'
    end
    return lift(state, 'the override expired')
end

function operations.freeze(state)
    state.stopped, state.stopped_until = 1, end_of(limit('ttl_ms'))
    return commit(state, order_text(), 'done')
end

function operations.thaw(state)
    if not is_stopped(state) and now >= state.frozen_until then
        return 'override'
    end
    state.stopped, state.stopped_until, state.frozen_until, state.frozen_times = 0, 0, 0, 0
    return commit(state, order_text(), 'done')
end

function operations.reassert(state)
    local applied = read_state(content)
    if not is_older(state) then
        return 'stale'
    end
    if not holds_newest(applied) or #votes < math.min(needed(0), limit('roster')) then
        return 'holder'
    end
    applied.incarnation = state.incarnation
    return commit(applied, 'reasserted', 'done')
end

local function decide()
    local state = read_state(read_hash(KEYS[1]))
    local compares = ask.op == 'move' or ask.op == 'expire' or ask.op == 'propose'
    if not operations[ask.op] or (ask.region and not state.regions[ask.region]) then
        return 'unknown'
    end
    if ask.op ~= 'reassert' and is_older(state) then
        return 'older'
    end
    if compares and (ask.epoch ~= integer(state.epoch) or ask.change_id ~= state.change_id) then
        return 'stale'
    end
    active_before = active_count(state)
    return operations[ask.op](state)
end

local answer, why = decide()
return {answer, why or '', integer(now), redis.call('HGETALL', KEYS[1])}
