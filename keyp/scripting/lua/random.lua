-- Pseudo-random numbers: the 48-bit generator of Redis (as lrand48 of POSIX), in two halves of 24 bits.
--
-- `first_seed` gives the number that it begins with, where no script gives one. Returns what is `math.random` and
-- `math.randomseed`, and a function that has it begin anew.
local first_seed = ...

local error, select, tonumber, type = error, select, tonumber, type
local ceil, floor = math.ceil, math.floor

local HALF = 16777216
local random_high, random_low

local function seed(number)
  number = number % 4294967296
  random_high = floor(number / 256)
  random_low = number % 256 * 65536 + 0x330E
end

local function next_31_bits()
  if not random_low then
    seed(first_seed())
  end
  local low = random_low * 15525485 + 11
  local high = random_high * 15525485 + random_low * 1502 + floor(low / HALF)
  random_low, random_high = low % HALF, high % HALF
  return random_high * 128 + floor(random_low / 131072)
end

local function number_argument(name, position, value)
  local number = type(value) ~= "boolean" and type(value) ~= "nil" and tonumber(value)
  if not number then
    local given = value == nil and "no value" or type(value)
    error("bad argument #" .. position .. " to '" .. name .. "' (number expected, got " .. given .. ")", 0)
  end
  return number < 0 and ceil(number) or floor(number)
end

local function random(...)
  local count = select("#", ...)
  local drawn = next_31_bits() % 2147483647 / 2147483647
  if count == 0 then
    return drawn
  elseif count == 1 then
    local high = number_argument("random", 1, (...))
    if high < 1 then
      error("bad argument #1 to 'random' (interval is empty)", 0)
    end
    return floor(drawn * high) + 1
  elseif count == 2 then
    local one, other = ...
    local low = number_argument("random", 1, one)
    local high = number_argument("random", 2, other)
    if low > high then
      error("bad argument #2 to 'random' (interval is empty)", 0)
    end
    return floor(drawn * (high - low + 1)) + low
  end
  error("wrong number of arguments", 0)
end

local function randomseed(...)
  seed(number_argument("randomseed", 1, (...)))
end

local function begin_anew()
  random_low = nil
end

return random, randomseed, begin_anew
