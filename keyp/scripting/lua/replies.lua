-- Replies: what a script returns as one flat list. A string or a number stands for itself; false begins what does not,
-- and a number behind it says what that is.
--
-- `is_resp3` tells whether the script speaks RESP3 now. Returns `flatten(out, n, value, depth)`, which puts a value
-- behind the first `n` items of the list `out`, and returns how many there are then.
local is_resp3 = ...

local next, rawget, type = next, rawget, type

local NIL, ARRAY, STATUS, ERROR, DOUBLE, MAP, SET, BIG_NUMBER, VERBATIM, BOOLEAN = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
local DEPTH_MAX = 200

local flatten

local function flatten_pairs(out, n, pairs_of, form, depth)
  out[n + 1], out[n + 2], out[n + 3] = false, form, 0
  local at, count = n + 3, 0
  n = at
  for key, value in next, pairs_of do
    n = flatten(out, n, key, depth)
    if form == MAP then
      n = flatten(out, n, value, depth)
    end
    count = count + 1
  end
  out[at] = count
  return n
end

local function flatten_table(out, n, t, depth)
  local value = rawget(t, "err")
  if type(value) == "string" then
    out[n + 1], out[n + 2], out[n + 3] = false, ERROR, value
    return n + 3
  end
  value = rawget(t, "ok")
  if type(value) == "string" then
    out[n + 1], out[n + 2], out[n + 3] = false, STATUS, value
    return n + 3
  end
  value = rawget(t, "double")
  if type(value) == "number" then
    out[n + 1], out[n + 2], out[n + 3] = false, DOUBLE, value
    return n + 3
  end
  value = rawget(t, "map")
  if type(value) == "table" then
    return flatten_pairs(out, n, value, MAP, depth)
  end
  value = rawget(t, "set")
  if type(value) == "table" then
    return flatten_pairs(out, n, value, SET, depth)
  end
  value = rawget(t, "big_number")
  if type(value) == "string" then
    out[n + 1], out[n + 2], out[n + 3] = false, BIG_NUMBER, value
    return n + 3
  end
  value = rawget(t, "verbatim_string")
  if type(value) == "table" then
    local text, format = rawget(value, "string"), rawget(value, "format")
    if type(text) == "string" and type(format) == "string" then
      out[n + 1], out[n + 2], out[n + 3], out[n + 4] = false, VERBATIM, format, text
      return n + 4
    end
  end
  out[n + 1], out[n + 2], out[n + 3] = false, ARRAY, 0
  local at, count = n + 3, 0
  n = at
  while true do
    local item = rawget(t, count + 1)
    if item == nil then
      break
    end
    n = flatten(out, n, item, depth)
    count = count + 1
  end
  out[at] = count
  return n
end

function flatten(out, n, value, depth)
  local form = type(value)
  if form == "string" or form == "number" then
    out[n + 1] = value
    return n + 1
  elseif form == "table" then
    if depth > DEPTH_MAX then
      out[n + 1], out[n + 2], out[n + 3] = false, ERROR, "ERR reached lua stack limit"
      return n + 3
    end
    return flatten_table(out, n, value, depth + 1)
  elseif form == "boolean" and is_resp3() then
    out[n + 1], out[n + 2], out[n + 3] = false, BOOLEAN, value and 1 or 0
    return n + 3
  elseif value == true then
    out[n + 1] = 1
    return n + 1
  end
  out[n + 1], out[n + 2] = false, NIL
  return n + 2
end

return flatten
