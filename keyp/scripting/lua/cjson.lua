-- JSON, as the library lua-cjson 2.1 reads and writes it: its limits, its texts of errors, its way with numbers.
--
-- Returns a function that makes the library's table, and one that takes its settings back to what they are at first.
local guard = ...

local error, next, rawget, select, setmetatable = error, next, rawget, select, setmetatable
local tonumber, tostring, type, newproxy, getmetatable = tonumber, tostring, type, newproxy, getmetatable
local floor, huge = math.floor, math.huge
local byte, char, find, format, gsub, lower, sub =
  string.byte, string.char, string.find, string.format, string.gsub, string.lower, string.sub
local concat = table.concat

-- JSON's null, which no value of Lua is.
local null = newproxy(true)
local of_null = getmetatable(null)
of_null.__tostring = function()
  return "userdata: (nil)"
end
of_null.__metatable = false

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\127"] = "\\u007f" }
for code = 0, 31 do
  ESCAPES[char(code)] = format("\\u%04x", code)
end
ESCAPES["\b"], ESCAPES["\t"], ESCAPES["\n"], ESCAPES["\f"], ESCAPES["\r"] = "\\b", "\\t", "\\n", "\\f", "\\r"

local UNESCAPED = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", t = "\t", n = "\n", f = "\f", r = "\r" }
local WORDS = { ["true"] = true, ["false"] = false, null = null }

local function defaults()
  return {
    convert_sparse = false, sparse_ratio = 2, sparse_safe = 10,
    encode_max_depth = 1000, decode_max_depth = 1000,
    encode_invalid = false, decode_invalid = true,
    precision = "%.14g", precision_digits = 14, keep_buffer = true,
  }
end

-- Writing.

local append

local function cannot_serialise(value, why)
  error("Cannot serialise " .. type(value) .. ": " .. why, 0)
end

-- The length of a table as an array, nil where it is none.
local function array_length(config, t)
  local longest, items = 0, 0
  for key in next, t do
    if type(key) ~= "number" or key < 1 or key ~= floor(key) then
      return nil
    end
    if key > longest then
      longest = key
    end
    items = items + 1
  end
  if config.sparse_ratio > 0 and longest > items * config.sparse_ratio and longest > config.sparse_safe then
    if not config.convert_sparse then
      cannot_serialise(t, "excessively sparse array")
    end
    return nil
  end
  return longest
end

local function number_text(config, number)
  if number ~= number or number == huge or number == -huge then
    if not config.encode_invalid then
      cannot_serialise(number, "must not be NaN or Inf")
    elseif config.encode_invalid == "null" then
      return "null"
    end
    return number ~= number and "nan" or number > 0 and "inf" or "-inf"
  end
  return format(config.precision, number)
end

local function string_text(text)
  return '"' .. gsub(text, '[%z%c"\\/\127]', ESCAPES) .. '"'
end

local function append_table(config, out, n, t, depth)
  if depth > config.encode_max_depth then
    error("Cannot serialise, excessive nesting (" .. depth .. ")", 0)
  end
  local length = array_length(config, t)
  if length and length > 0 then
    out[n + 1] = "["
    n = n + 1
    for i = 1, length do
      if i > 1 then
        n = n + 1
        out[n] = ","
      end
      n = append(config, out, n, rawget(t, i), depth)
    end
    out[n + 1] = "]"
    return n + 1
  end
  local opening = "{"
  for key, value in next, t do
    if type(key) == "number" then
      out[n + 1] = opening .. '"' .. number_text(config, key) .. '":'
    elseif type(key) == "string" then
      out[n + 1] = opening .. string_text(key) .. ":"
    else
      cannot_serialise(key, "table key must be a number or string")
    end
    opening = ","
    n = append(config, out, n + 1, value, depth)
  end
  out[n + 1] = opening == "{" and "{}" or "}"
  return n + 1
end

function append(config, out, n, value, depth)
  local kind = type(value)
  if kind == "string" then
    out[n + 1] = string_text(value)
  elseif kind == "number" then
    out[n + 1] = number_text(config, value)
  elseif kind == "boolean" then
    out[n + 1] = tostring(value)
  elseif kind == "table" then
    return append_table(config, out, n, value, depth + 1)
  elseif value == nil or value == null then
    out[n + 1] = "null"
  else
    cannot_serialise(value, "type not supported")
  end
  return n + 1
end

-- Reading.

local TOKENS = {
  ["{"] = "T_OBJ_BEGIN", ["}"] = "T_OBJ_END", ["["] = "T_ARR_BEGIN", ["]"] = "T_ARR_END",
  [":"] = "T_COLON", [","] = "T_COMMA", [""] = "T_END",
}

local function expected(what, found, position)
  error("Expected " .. what .. " but found " .. found .. " at character " .. position, 0)
end

local function utf8(code)
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xC0 + floor(code / 64), 0x80 + code % 64)
  elseif code < 0x10000 then
    return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(
    0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

-- The character of the escape \uXXXX at `at`, which may be two for one character, and where it ends.
local function unicode(text, at)
  local _, _, digits = find(text, "^u(%x%x%x%x)", at + 1)
  local code = digits and tonumber(digits, 16)
  if not code or (code >= 0xDC00 and code <= 0xDFFF) then
    return nil
  end
  if code >= 0xD800 and code <= 0xDBFF then
    _, _, digits = find(text, "^\\u(%x%x%x%x)", at + 6)
    local low = digits and tonumber(digits, 16)
    if not low or low < 0xDC00 or low > 0xDFFF then
      return nil
    end
    return utf8(0x10000 + (code - 0xD800) * 1024 + low - 0xDC00), at + 12
  end
  return utf8(code), at + 6
end

-- The string behind the quotation mark at `at`, and what comes behind it. `what` was expected there.
local function read_string(text, at, what)
  local stop = find(text, '["\\%z]', at + 1)
  if stop and byte(text, stop) == 34 then
    return sub(text, at + 1, stop - 1), stop + 1
  end
  local parts, start = {}, at + 1
  while true do
    local mark = stop and byte(text, stop)
    if mark ~= 34 and mark ~= 92 then
      expected(what, "unexpected end of string", stop or #text + 1)
    end
    parts[#parts + 1] = sub(text, start, stop - 1)
    if mark == 34 then
      return concat(parts), stop + 1
    end
    local escape = sub(text, stop + 1, stop + 1)
    if escape == "u" then
      local character, behind = unicode(text, stop)
      if not character then
        expected(what, "invalid unicode escape code", stop)
      end
      parts[#parts + 1], start = character, behind
    elseif UNESCAPED[escape] then
      parts[#parts + 1], start = UNESCAPED[escape], stop + 2
    else
      expected(what, "invalid escape code", stop)
    end
    stop = find(text, '["\\%z]', start)
  end
end

-- Whether what stands at `at` is a number for C, but not for JSON.
local function is_invalid_number(text, at)
  local word = lower(sub(text, at, at + 3))
  if sub(word, 1, 1) == "+" then
    return true
  end
  word = gsub(word, "^-", "")
  return find(word, "^0[%dx]") ~= nil or find(word, "^inf") ~= nil or find(word, "^nan") ~= nil
end

local function read_number(text, at)
  local _, stop = find(text, "^[+-]?0[xX]%x+", at)
  if not stop then
    _, stop = find(text, "^[+-]?%d+%.?%d*", at)
    if not stop then
      _, stop = find(text, "^[+-]?%.%d+", at)
    end
    if stop then
      local _, exponent = find(text, "^[eE][+-]?%d+", stop + 1)
      stop = exponent or stop
    end
  end
  if stop then
    local digits = gsub(sub(text, at, stop), "^+", "")
    local negative, rest = find(digits, "^-0[xX]"), nil
    rest = negative and -tonumber(sub(digits, 2)) or tonumber(digits)
    return rest, stop + 1
  end
  local _, _, sign, word = find(lower(sub(text, at, at + 8)), "^([+-]?)(%a+)")
  local value = word and ((find(word, "^nan") and -(0 / 0)) or (find(word, "^inf") and huge))
  if not value then
    return nil
  end
  _, stop = find(lower(sub(text, at, at + 8)), value == huge and find(word, "^infinity") and "^[+-]?infinity" or "^[+-]?%a%a%a")
  return sign == "-" and -value or value, at + stop
end

-- The name of the token at `at`, for an error; a string or a number there may be an error itself.
local function token(config, text, at, what)
  local first = sub(text, at, at)
  if TOKENS[first] then
    return TOKENS[first]
  elseif first == '"' then
    read_string(text, at, what)
    return "T_STRING"
  elseif find(text, "^true", at) or find(text, "^false", at) then
    return "T_BOOLEAN"
  elseif find(text, "^null", at) then
    return "T_NULL"
  elseif find(first, "[%d-]") then
    if (is_invalid_number(text, at) and not config.decode_invalid) or not read_number(text, at) then
      return "invalid number"
    end
    return "T_NUMBER"
  elseif config.decode_invalid and is_invalid_number(text, at) then
    return read_number(text, at) and "T_NUMBER" or "invalid number"
  end
  return "invalid token"
end

local function skip(text, at)
  return find(text, "[^ \t\n\r]", at) or #text + 1
end

local read_value

local function deeper(config, depth, at)
  if depth > config.decode_max_depth then
    error("Found too many nested data structures (" .. depth .. ") at character " .. at, 0)
  end
end

local function read_array(config, text, at, depth)
  deeper(config, depth, at)
  local array, count = {}, 0
  at = skip(text, at + 1)
  if byte(text, at) == 93 then
    return array, at + 1
  end
  while true do
    count = count + 1
    array[count], at = read_value(config, text, at, depth)
    at = skip(text, at)
    local mark = byte(text, at)
    if mark == 93 then
      return array, at + 1
    elseif mark ~= 44 then
      expected("comma or array end", token(config, text, at, "comma or array end"), at)
    end
    at = skip(text, at + 1)
  end
end

local function read_object(config, text, at, depth)
  deeper(config, depth, at)
  local object = {}
  at = skip(text, at + 1)
  if byte(text, at) == 125 then
    return object, at + 1
  end
  while true do
    if byte(text, at) ~= 34 then
      expected("object key string", token(config, text, at, "object key string"), at)
    end
    local key
    key, at = read_string(text, at, "object key string")
    at = skip(text, at)
    if byte(text, at) ~= 58 then
      expected("colon", token(config, text, at, "colon"), at)
    end
    object[key], at = read_value(config, text, skip(text, at + 1), depth)
    at = skip(text, at)
    local mark = byte(text, at)
    if mark == 125 then
      return object, at + 1
    elseif mark ~= 44 then
      expected("comma or object end", token(config, text, at, "comma or object end"), at)
    end
    at = skip(text, at + 1)
  end
end

function read_value(config, text, at, depth)
  local mark = byte(text, at)
  if mark == 34 then
    return read_string(text, at, "value")
  elseif mark == 123 then
    return read_object(config, text, at, depth + 1)
  elseif mark == 91 then
    return read_array(config, text, at, depth + 1)
  end
  local _, stop, word = find(text, "^(%l+)", at)
  if word and WORDS[word] == nil then
    for known in next, WORDS do -- as many letters as the word has
      if sub(word, 1, #known) == known then
        word, stop = known, at + #known - 1
      end
    end
  end
  if word and WORDS[word] ~= nil then
    return WORDS[word], stop + 1
  end
  local name = token(config, text, at, "value")
  if name ~= "T_NUMBER" then
    expected("value", name, at)
  end
  return read_number(text, at)
end

-- The library.

local function between(name, value, low, high, default)
  if value == nil then
    return default
  end
  local number = tonumber(value)
  if not number then
    error("bad argument #1 to '?' (number expected, got " .. type(value) .. ")", 0)
  end
  if number < low or number > high then
    error("bad argument #1 to '?' (expected integer between " .. low .. " and " .. high .. ")", 0)
  end
  return floor(number)
end

local INT_MAX = 2147483647
local changed = {} -- settings that a script has changed -> what they are at first

local function option_on(value)
  if value == true or value == "on" then
    return true
  elseif value == false or value == "off" then
    return false
  elseif value == "null" then
    return value
  end
  error("bad argument #1 to '?' (invalid option '" .. tostring(value) .. "')", 0)
end

local function settings_of(config)
  local function change(name, value)
    changed[config] = true
    config[name] = value
    return value
  end
  local function depth(name)
    return function(value)
      return change(name, between(name, value, 1, INT_MAX, config[name]))
    end
  end
  local function invalid(name, allows_null)
    return function(value)
      if value ~= nil then
        value = option_on(value)
        if value == "null" and not allows_null then
          error("bad argument #1 to '?' (invalid option 'null')", 0)
        end
        change(name, value)
      end
      return config[name]
    end
  end
  return {
    encode_max_depth = depth("encode_max_depth"),
    decode_max_depth = depth("decode_max_depth"),
    encode_invalid_numbers = invalid("encode_invalid", true),
    decode_invalid_numbers = invalid("decode_invalid", false),
    encode_number_precision = function(digits)
      digits = change("precision_digits", between("", digits, 1, 14, config.precision_digits))
      config.precision = "%." .. digits .. "g"
      return digits
    end,
    encode_keep_buffer = function(value)
      if value ~= nil then
        change("keep_buffer", option_on(value))
      end
      return config.keep_buffer
    end,
    encode_sparse_array = function(convert, ratio, safe)
      if convert ~= nil then
        change("convert_sparse", option_on(convert))
      end
      change("sparse_ratio", between("", ratio, 0, INT_MAX, config.sparse_ratio))
      change("sparse_safe", between("", safe, 0, INT_MAX, config.sparse_safe))
      return config.convert_sparse, config.sparse_ratio, config.sparse_safe
    end,
  }
end

local function one_argument(count)
  if count ~= 1 then
    error("bad argument #1 to '?' (expected 1 argument)", 0)
  end
end

local function new()
  local config = defaults()
  local library = { _NAME = "cjson", _VERSION = "2.1.0", null = null, new = new }
  for name, f in next, settings_of(config) do
    library[name] = guard(name, f)
  end
  library.encode = guard("encode", function(...)
    one_argument(select("#", ...))
    local out = {}
    append(config, out, 0, (...), 0)
    return concat(out)
  end)
  library.decode = guard("decode", function(...)
    one_argument(select("#", ...))
    local text = ...
    if type(text) == "number" then
      text = tostring(text)
    elseif type(text) ~= "string" then
      error("bad argument #1 to '?' (string expected, got " .. (text == nil and "nil" or type(text)) .. ")", 0)
    end
    if #text >= 2 and (byte(text) == 0 or byte(text, 2) == 0) then
      error("JSON parser does not support UTF-16 or UTF-32", 0)
    end
    local value, at = read_value(config, text, skip(text, 1), 0)
    at = skip(text, at)
    if at <= #text then
      expected("the end", token(config, text, at, "the end"), at)
    end
    return value
  end)
  return library
end

local function reset()
  if next(changed) then
    for config in next, changed do
      for name, value in next, defaults() do
        config[name] = value
      end
      changed[config] = nil
    end
  end
end

return new, reset
