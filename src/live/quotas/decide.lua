-- Decides about one request under every rule, by this server's clock, and charges it only if all let it in.
--
--   KEYS        one for each rule: whose quota it is
--   ARGV[1]     what the request costs
--   ARGV[2..]   for each rule: kind, limit, window [µs], burst
--   returns     { let in 0|1, rule told of (0 the first), remaining, retry after [µs], -1 for never, reset after [µs] }
--
-- The state of a key is a string of whole numbers: the last time let in, and what its kind counts. The arithmetic is the one of
-- engine::limiter, in microseconds. Every product stays below 2^53, which whoever calls has seen to, so that nothing is rounded. Numbers are
-- written with %.0f, because tostring would round them to fourteen digits.

local kinds = {}

-- Generic cell rate: the tokens that are missing, as time [µs/limit]. Token bucket and GCRA are the same.
kinds.gcra = {
  rolled = function(rule, state, now)
    if not state then return { now, 0 } end
    return { now, math.max(0, state[2] - (now - state[1]) * rule.limit) }
  end,
  wait = function(rule, state, cost)
    return math.max(0, math.ceil((state[2] + cost * rule.window - rule.burst * rule.window) / rule.limit))
  end,
  taken = function(rule, state, cost) return { state[1], state[2] + cost * rule.window } end,
  remaining = function(rule, state) return math.floor((rule.burst * rule.window - state[2]) / rule.window) end,
  reset = function(rule, state) return math.ceil(state[2] / rule.limit) end,
}

-- Fixed window: its start, and what was let in since.
local function fixed(start_of)
  return {
    rolled = function(rule, state, now)
      if state and state[3] > 0 and now - state[2] < rule.window then return { now, state[2], state[3] } end
      return { now, start_of(rule, now), 0 }
    end,
    wait = function(rule, state, cost)
      if state[3] + cost <= rule.limit then return 0 end
      return state[2] + rule.window - state[1]
    end,
    taken = function(rule, state, cost) return { state[1], state[2], state[3] + cost } end,
    remaining = function(rule, state) return rule.limit - state[3] end,
    reset = function(rule, state)
      if state[3] == 0 then return 0 end
      return state[2] + rule.window - state[1]
    end,
  }
end
kinds.fixed = fixed(function(rule, now) return now - now % rule.window end)
kinds.first = fixed(function(rule, now) return now end)

-- Sliding window: the start of the current one, what was let in during the one before, and since.
local function first_fit(rule, previous, room)
  return math.max(0, rule.window - math.floor(room * rule.window / previous))
end
kinds.sliding = {
  rolled = function(rule, state, now)
    if state and now - state[2] < rule.window then return { now, state[2], state[3], state[4] } end
    if state and now - state[2] < 2 * rule.window then return { now, state[2] + rule.window, state[4], 0 } end
    return { now, now - now % rule.window, 0, 0 }
  end,
  wait = function(rule, state, cost)
    local elapsed, room = state[1] - state[2], rule.limit - state[4] - cost
    if room >= 0 then
      if state[3] * (rule.window - elapsed) <= room * rule.window then return 0 end
      return first_fit(rule, state[3], room) - elapsed
    end
    return rule.window - elapsed + first_fit(rule, state[4], rule.limit - cost)
  end,
  taken = function(rule, state, cost) return { state[1], state[2], state[3], state[4] + cost } end,
  remaining = function(rule, state)
    local carried = state[3] * (rule.window - (state[1] - state[2]))
    return math.floor(((rule.limit - state[4]) * rule.window - carried) / rule.window)
  end,
  reset = function(rule, state)
    local rest = rule.window - (state[1] - state[2])
    if state[4] > 0 then return rest + rule.window end
    return state[3] > 0 and rest or 0
  end,
}

local function read(text)
  if not text then return nil end
  local state = {}
  for number in string.gmatch(text, '%d+') do state[#state + 1] = tonumber(number) end
  return state
end

local function written(state)
  local parts = {}
  for i, number in ipairs(state) do parts[i] = string.format('%.0f', number) end
  return table.concat(parts, ' ')
end

local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
local cost = tonumber(ARGV[1])

local rules, worst, worst_wait = {}, nil, 0
for i, key in ipairs(KEYS) do
  local at = 4 * i - 2
  local rule = {
    key = key,
    kind = kinds[ARGV[at]],
    limit = tonumber(ARGV[at + 1]),
    window = tonumber(ARGV[at + 2]),
    burst = tonumber(ARGV[at + 3]),
  }
  local state = read(redis.call('GET', key))
  -- A clock that was set back does not give anything back.
  rule.state = rule.kind.rolled(rule, state, state and math.max(clock, state[1]) or clock)
  local wait = cost > rule.burst and math.huge or rule.kind.wait(rule, rule.state, cost)
  if wait > worst_wait then worst, worst_wait = i, wait end
  rules[i] = rule
end

if worst then
  local rule = rules[worst]
  local wait = worst_wait == math.huge and -1 or worst_wait
  return { 0, worst - 1, rule.kind.remaining(rule, rule.state), wait, rule.kind.reset(rule, rule.state) }
end

local told, least, length = 1, math.huge, 0
for i, rule in ipairs(rules) do
  rule.state = rule.kind.taken(rule, rule.state, cost)
  -- A second more than it takes until nothing is used any more, for a clock of expiry that is not quite this one.
  local lasts = math.ceil(rule.kind.reset(rule, rule.state) / 1000) + 1000
  redis.call('SET', rule.key, written(rule.state), 'PX', string.format('%.0f', lasts))
  local left = rule.kind.remaining(rule, rule.state) / rule.burst
  if left < least or (left == least and rule.window > length) then told, least, length = i, left, rule.window end
end
local rule = rules[told]
return { 1, told - 1, rule.kind.remaining(rule, rule.state), 0, rule.kind.reset(rule, rule.state) }
