-- MessagePack, as the library lua-cmsgpack 0.4 reads and writes it.
--
-- `doubles` has the functions of Python that pack and unpack floating-point numbers. Returns the library's table.
local doubles, guard = ...

local error, next, rawget, select, tonumber, tostring, type, unpack =
  error, next, rawget, select, tonumber, tostring, type, unpack
local floor, huge = math.floor, math.huge
local byte, char, format, sub = string.byte, string.char, string.format, string.sub
local concat = table.concat

local NESTING_MAX = 16
local TOO_SHORT, BAD_FORMAT = "Missing bytes in input.", "Bad data format in input."

-- Writing.

local append

-- So many bytes of a whole number, the highest first; a negative one as two's complement.
local function big_endian(number, count)
  if count <= 4 then
    number = number % 4294967296
    if count == 1 then
      return char(number % 256)
    elseif count == 2 then
      return char(floor(number / 256) % 256, number % 256)
    end
    return char(floor(number / 16777216), floor(number / 65536) % 256, floor(number / 256) % 256, number % 256)
  end
  local low = number % 4294967296
  return big_endian(floor(number / 4294967296), 4) .. big_endian(low, 4)
end

local function integer_bytes(number)
  if number >= 0 then
    if number <= 127 then
      return char(number)
    elseif number <= 0xFF then
      return "\204" .. big_endian(number, 1)
    elseif number <= 0xFFFF then
      return "\205" .. big_endian(number, 2)
    elseif number <= 0xFFFFFFFF then
      return "\206" .. big_endian(number, 4)
    end
    return "\207" .. big_endian(number, 8)
  elseif number >= -32 then
    return char(256 + number)
  elseif number >= -128 then
    return "\208" .. big_endian(number, 1)
  elseif number >= -32768 then
    return "\209" .. big_endian(number, 2)
  elseif number >= -2147483648 then
    return "\210" .. big_endian(number, 4)
  end
  return "\211" .. big_endian(number, 8)
end

local function number_bytes(number)
  if number == floor(number) and number >= -2 ^ 63 and number < 2 ^ 63 then
    return integer_bytes(number)
  end
  return doubles.pack(number)
end

local function string_head(length)
  if length < 32 then
    return char(0xA0 + length)
  elseif length <= 0xFF then
    return "\217" .. big_endian(length, 1)
  elseif length <= 0xFFFF then
    return "\218" .. big_endian(length, 2)
  end
  return "\219" .. big_endian(length, 4)
end

local function head(length, short, long)
  if length <= 15 then
    return char(short + length)
  elseif length <= 0xFFFF then
    return char(long) .. big_endian(length, 2)
  end
  return char(long + 1) .. big_endian(length, 4)
end

-- How many entries a table has, and whether they are those of an array.
local function measure(t)
  local count, longest, is_array = 0, 0, true
  for key in next, t do
    count = count + 1
    if type(key) ~= "number" or key <= 0 or key ~= floor(key) then
      is_array = false
    elseif key > longest then
      longest = key
    end
  end
  return count, is_array and longest == count
end

local function append_table(out, n, t, level)
  local count, is_array = measure(t)
  out[n + 1] = is_array and head(count, 0x90, 0xDC) or head(count, 0x80, 0xDE)
  n = n + 1
  if is_array then
    for i = 1, count do
      n = append(out, n, rawget(t, i), level + 1)
    end
    return n
  end
  for key, value in next, t do
    n = append(out, n, key, level + 1)
    n = append(out, n, value, level + 1)
  end
  return n
end

function append(out, n, value, level)
  local kind = type(value)
  if kind == "string" then
    out[n + 1], out[n + 2] = string_head(#value), value
    return n + 2
  elseif kind == "number" then
    out[n + 1] = number_bytes(value)
  elseif kind == "boolean" then
    out[n + 1] = value and "\195" or "\194"
  elseif kind == "table" and level < NESTING_MAX then
    return append_table(out, n, value, level)
  else
    out[n + 1] = "\192"
  end
  return n + 1
end

-- Reading: each function returns a value and what comes behind it.

local read

local function need(text, at, count)
  if at + count - 1 > #text then
    error(TOO_SHORT, 0)
  end
end

local function unsigned(text, at, count)
  need(text, at, count)
  local number = 0
  for i = at, at + count - 1 do
    number = number * 256 + byte(text, i)
  end
  return number
end

local function signed(text, at, count)
  local number = unsigned(text, at, count)
  if byte(text, at) >= 128 then
    if count == 8 then -- what is near 2^64 would lose its last bits
      local high, low = unsigned(text, at, 4), unsigned(text, at + 4, 4)
      return (high - 4294967296) * 4294967296 + low
    end
    number = number - 256 ^ count
  end
  return number
end

local function read_string(text, at, length)
  need(text, at, length)
  return sub(text, at, at + length - 1), at + length
end

local function read_array(text, at, length)
  local array = {}
  for i = 1, length do
    array[i], at = read(text, at)
  end
  return array, at
end

local function read_map(text, at, length)
  local map = {}
  for _ = 1, length do
    local key, value
    key, at = read(text, at)
    value, at = read(text, at)
    if key == nil or key ~= key then
      error(key == nil and "table index is nil" or "table index is NaN", 0)
    end
    map[key] = value
  end
  return map, at
end

local function constant(value)
  return function(_, at)
    return value, at
  end
end

local function number_of(reader, count)
  return function(text, at)
    return reader(text, at, count), at + count
  end
end

local function double_of(count)
  return function(text, at)
    need(text, at, count)
    return doubles.unpack(sub(text, at, at + count - 1)), at + count
  end
end

local function counted(reader, count)
  return function(text, at)
    return reader(text, at + count, unsigned(text, at, count))
  end
end

local READERS = {
  [0xC0] = constant(nil), [0xC2] = constant(false), [0xC3] = constant(true),
  [0xCA] = double_of(4), [0xCB] = double_of(8),
  [0xCC] = number_of(unsigned, 1), [0xCD] = number_of(unsigned, 2),
  [0xCE] = number_of(unsigned, 4), [0xCF] = number_of(unsigned, 8),
  [0xD0] = number_of(signed, 1), [0xD1] = number_of(signed, 2),
  [0xD2] = number_of(signed, 4), [0xD3] = number_of(signed, 8),
  [0xD9] = counted(read_string, 1), [0xDA] = counted(read_string, 2), [0xDB] = counted(read_string, 4),
  [0xDC] = counted(read_array, 2), [0xDD] = counted(read_array, 4),
  [0xDE] = counted(read_map, 2), [0xDF] = counted(read_map, 4),
}

function read(text, at)
  need(text, at, 1)
  local first = byte(text, at)
  at = at + 1
  if first < 0x80 then
    return first, at
  elseif first >= 0xE0 then
    return first - 256, at
  elseif first < 0x90 then
    return read_map(text, at, first - 0x80)
  elseif first < 0xA0 then
    return read_array(text, at, first - 0x90)
  elseif first < 0xC0 then
    return read_string(text, at, first - 0xA0)
  end
  local reader = READERS[first]
  if not reader then
    error(BAD_FORMAT, 0)
  end
  return reader(text, at)
end

-- The library.

local function text_argument(text)
  if type(text) == "number" then
    return tostring(text)
  elseif type(text) ~= "string" then
    error("bad argument #1 to '?' (string expected, got " .. (text == nil and "no value" or type(text)) .. ")", 0)
  end
  return text
end

local function number_argument(value, position, default)
  local number = value == nil and default or tonumber(value)
  if not number then
    local given = value == nil and "no value" or type(value)
    error("bad argument #" .. position .. " to '?' (number expected, got " .. given .. ")", 0)
  end
  return floor(number)
end

-- Reads up to `limit` values, all for 0; with a limit, where they end comes first, -1 for the end of the input.
local function unpack_some(text, limit, offset)
  if offset < 0 or limit < 0 then
    error(format("Invalid request to unpack with offset of %d and limit of %d.", offset, #text), 0)
  elseif offset > #text then
    error(format("Start offset %d greater than input length %d.", offset, #text), 0)
  end
  local count = limit == 0 and huge or limit
  local values, n, at = {}, 0, offset + 1
  while at <= #text and n < count do
    n = n + 1
    values[n], at = read(text, at)
  end
  if limit == 0 then
    return unpack(values, 1, n)
  end
  return at > #text and -1 or at - 1, unpack(values, 1, n)
end

return {
  _NAME = "cmsgpack",
  _VERSION = "lua-cmsgpack 0.4.0",
  _COPYRIGHT = "Copyright (C) 2012, Redis Ltd.",
  _DESCRIPTION = "MessagePack C implementation for Lua",
  pack = guard("pack", function(...)
    local count = select("#", ...)
    if count == 0 then
      error("bad argument #0 to '?' (MessagePack pack needs input.)", 0)
    end
    local out, n = {}, 0
    for i = 1, count do
      n = append(out, n, (select(i, ...)), 0)
    end
    return concat(out)
  end),
  unpack = guard("unpack", function(text)
    return unpack_some(text_argument(text), 0, 0)
  end),
  unpack_one = guard("unpack_one", function(text, offset)
    return unpack_some(text_argument(text), 1, number_argument(offset, 2, 0))
  end),
  unpack_limit = guard("unpack_limit", function(text, limit, offset)
    return unpack_some(text_argument(text), number_argument(limit, 2), number_argument(offset, 3, 0))
  end),
}
