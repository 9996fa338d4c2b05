-- What surrounds scripts: their globals, what protects them, and how they are run.
--
-- The chunk is run once for each runtime, with all of Lua's library at hand. It returns the functions by which Python
-- compiles and runs scripts. A script sees only tables that are made here. It has no way to what this file keeps in
-- local variables, as long as these hold:
--   * nothing here looks up a global by name when a script runs, and no script has `debug`, `setfenv` or `getfenv`;
--   * an object of Python (an exception of a call) never reaches a script: all that catches errors is wrapped below;
--   * an error that is to end the script (`ending`) passes through all that catches errors.
--
-- A frozen table is empty; what it shows is in another one behind `__index`. So each assignment to it is noticed, but
-- for those of functions that pass by metatables, which are wrapped.
local cjson, cmsgpack, make_random, make_replies, host_functions, api_functions, binary_functions = ...

local assert, error, getmetatable, ipairs = assert, error, getmetatable, ipairs
local load, loadstring = load, loadstring
local next, pairs, pcall, rawget, rawset, select = next, pairs, pcall, rawget, rawset, select
local setfenv, setmetatable, tonumber, tostring, type = setfenv, setmetatable, tonumber, tostring, type
local collectgarbage, rawequal, unpack, xpcall = collectgarbage, rawequal, unpack, xpcall
local concat, insert, remove, setn = table.concat, table.insert, table.remove, table.setn
local foreach, foreachi = table.foreach, table.foreachi
local gsub, byte = string.gsub, string.byte
local create, resume = coroutine.create, coroutine.resume
local getinfo, sethook = debug.getinfo, debug.sethook

local READONLY = "Attempt to modify a readonly table"
local NO_MEMORY = "not enough memory"
local ENDED = "the script has been ended"
local OURS = "=keyp" -- the name of our files

-- Instructions between two looks at the clock, as many as in Redis; and the pattern that the matcher, which calls
-- itself for each item, is sure to have stack for.
local HOOK_INSTRUCTIONS = 100000
local PATTERN_MAX = 20000

-- Functions of Python, as functions of C that keep no object of Python in reach.
local function functions_of(python_functions)
  local made = {}
  for name, value in next, python_functions do
    made[name] = type(value) == "userdata" and python.as_function(value) or value
  end
  return made
end

local python = python
local host, api_values = functions_of(host_functions), functions_of(api_functions)
local random, randomseed, begin_random_anew = make_random(host.seed)
local flatten = make_replies(host.is_resp3)
local ending = false -- the script is to end, whatever it does

local function end_if_ending()
  if ending then
    error(ENDED, 0)
  end
end

-- Frozen tables.

local shown = setmetatable({}, { __mode = "k" }) -- frozen table -> what it shows

local function refuse_assignment()
  error(READONLY, 2)
end

local function freeze(real, metatable_shown)
  local frozen = {}
  shown[frozen] = real
  setmetatable(frozen, { __index = real, __newindex = refuse_assignment, __metatable = metatable_shown or false })
  return frozen
end

local function change_only_unfrozen(t)
  if shown[t] then
    error(READONLY, 0)
  end
end

local function missing_global(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

-- The text that an exception of Python stands for.
local function text_of(exception)
  local text, ends = host.describe(exception)
  if ends then
    ending = true
    error(ENDED, 0)
  end
  return text
end

-- Errors that pass through functions of ours: the position is that of the script.

local running -- the script's function

-- Where in the script: the file as messages name it, its full name, and the line. The frame of a function that has
-- called another one as its last act is gone; then it is taken to be the last line.
local function position(level)
  local info
  repeat
    info = getinfo(level, "Sl")
    level = level + 1
  until not info or (info.what ~= "C" and info.what ~= "tail" and info.source ~= OURS)
  if info then
    return info.short_src, info.source, info.currentline
  end
  info = getinfo(running, "SL")
  local last = 0
  for line in next, info.activelines or {} do
    last = line > last and line or last
  end
  return info.short_src, info.source, last
end

local function relay(name, ok, ...)
  if ok then
    return ...
  end
  local message = ...
  end_if_ending()
  if type(message) == "userdata" then
    message = text_of(message)
  end
  if type(message) == "string" then
    local file, _, line = position(3)
    message = gsub(gsub(message, "^keyp:%d+: ", ""), "to '%?'", "to '" .. name .. "'", 1)
    message = file .. ":" .. line .. ": " .. message
  end
  error(message, 0)
end

local function guard(name, f)
  return function(...)
    return relay(name, pcall(f, ...))
  end
end

local function guarded(functions)
  for name, f in next, functions do
    functions[name] = guard(name, f)
  end
  return functions
end

local function guard_pattern(name, f)
  return function(subject, pattern, ...)
    if type(pattern) == "string" and #pattern > PATTERN_MAX and not (name == "find" and select(2, ...)) then
      return relay(name, false, "pattern too complex")
    end
    return relay(name, pcall(f, subject, pattern, ...))
  end
end

-- What catches errors.

local function caught(ok, problem, ...)
  if ok then
    return true, problem, ...
  end
  end_if_ending()
  if type(problem) == "userdata" then
    problem = text_of(problem)
  elseif type(problem) == "table" and type(problem.err) == "string" then
    problem = problem.err
  end
  return false, problem
end

local function caught_as_table(ok, problem, ...)
  end_if_ending()
  if not ok and type(problem) == "userdata" then
    return false, { err = text_of(problem), ignore_error_stats_update = true }
  end
  return ok, problem, ...
end

local function safe_pcall(...)
  if select("#", ...) == 0 then
    return false, "attempt to call a boolean value" -- that Redis's own puts before what it is given
  end
  return caught(pcall(...))
end

local function safe_xpcall(...)
  local f, handler = ...
  if select("#", ...) < 2 then
    return relay("xpcall", pcall(xpcall, ...))
  end
  local function handle(problem)
    if ending then
      return problem
    end
    if type(problem) == "userdata" then
      local text, ends = host.describe(problem)
      if ends then
        ending = true
        return ENDED
      end
      problem = { err = text, ignore_error_stats_update = true }
    end
    return handler(problem)
  end
  return caught_as_table(xpcall(f, handle))
end

-- Each coroutine has a hook of its own.

local function hook()
  if host.is_due() then
    ending = true
    local _, source, line = position(2)
    host.ended_at(source, line)
    error(ENDED, 0)
  end
end

local function new_coroutine(f)
  end_if_ending()
  local made = create(f)
  sethook(made, hook, "", HOOK_INSTRUCTIONS)
  return made
end

local function resumed(ok, problem, ...)
  end_if_ending()
  if ok then
    return problem, ...
  elseif type(problem) == "string" then
    local file, _, line = position(3)
    problem = file .. ":" .. line .. ": " .. gsub(problem, "^keyp:%d+: ", "")
  end
  error(problem, 0)
end

local safe_coroutine = {
  create = guard("create", new_coroutine),
  resume = function(...)
    if type((...)) ~= "thread" then
      return relay("resume", pcall(resume, ...))
    end
    return caught_as_table(resume(...))
  end,
  running = coroutine.running,
  status = coroutine.status,
  wrap = function(f)
    local made = new_coroutine(f)
    return function(...)
      return resumed(resume(made, ...))
    end
  end,
  yield = coroutine.yield,
}

-- Loading code: text only, and it sees the globals of scripts.

local script_globals

local function load_text(text, name)
  local f, problem = loadstring(text, name)
  if not f then
    return nil, problem
  end
  return setfenv(f, script_globals)
end

local function safe_loadstring(...)
  local text, name = ...
  if type(text) == "number" then
    text = tostring(text)
  end
  if type(text) ~= "string" or (name ~= nil and type(name) ~= "string") then
    return relay("loadstring", pcall(loadstring, ...))
  end
  if byte(text) == 27 then -- what Lua's compiler says of bytecode where it takes none
    local f, problem = loadstring("\\", name or text)
    return f, (gsub(problem, "near '\\'$", "near 'char(27)'"))
  end
  return load_text(text, name or text)
end

local function safe_load(...)
  local reader, name = ...
  if type(reader) ~= "function" then
    return load(...)
  end
  local is_first, is_bytecode = true, false
  local f, problem = load(function()
    local piece = reader()
    if is_first and type(piece) == "string" then
      is_first, is_bytecode = false, byte(piece) == 27
    end
    return is_bytecode and "\\" or piece
  end, name)
  end_if_ending()
  if f then
    return setfenv(f, script_globals)
  elseif type(problem) == "userdata" then
    problem = text_of(problem)
  end
  return nil, is_bytecode and gsub(problem, "near '\\'$", "near 'char(27)'") or problem
end

-- Globals.

local function copy(library, but)
  local made = {}
  for name, value in pairs(library) do
    made[name] = value
  end
  for name, value in pairs(but) do
    made[name] = value
  end
  return made
end

local safe_string = copy(string, {
  find = guard_pattern("find", string.find),
  match = guard_pattern("match", string.match),
  gmatch = guard_pattern("gmatch", string.gmatch),
  gfind = guard_pattern("gfind", string.gfind),
  gsub = function(subject, pattern, replacement, ...)
    if type(pattern) == "string" and #pattern > PATTERN_MAX then
      return relay("gsub", false, "pattern too complex")
    end
    if type(replacement) ~= "string" then
      return gsub(subject, pattern, replacement, ...)
    end
    return relay("gsub", pcall(gsub, subject, pattern, replacement, ...))
  end,
})

local safe_table = copy(table, {
  insert = function(t, ...)
    change_only_unfrozen(t)
    return relay("insert", pcall(insert, t, ...))
  end,
  remove = function(t, ...)
    if shown[t] then
      return nil
    end
    return relay("remove", pcall(remove, t, ...))
  end,
  setn = function(t, ...)
    change_only_unfrozen(t)
    return relay("setn", pcall(setn, t, ...))
  end,
  foreach = function(t, f)
    return foreach(shown[t] or t, f)
  end,
  foreachi = function(t, f)
    return foreachi(shown[t] or t, f)
  end,
})

local new_cjson, reset_cjson = cjson(guard)
local libraries = {
  string = freeze(safe_string),
  table = freeze(safe_table),
  math = freeze(copy(math, { random = guard("random", random), randomseed = guard("randomseed", randomseed) })),
  coroutine = freeze(safe_coroutine),
  bit = freeze(guarded(functions_of(binary_functions.bit))),
  struct = freeze(guarded(functions_of(binary_functions.struct))),
  cjson = freeze(new_cjson()),
  cmsgpack = freeze(cmsgpack(functions_of(binary_functions.doubles), guard)),
}

local string_metatable = getmetatable("")
string_metatable.__index = safe_string
string_metatable.__metatable = freeze({ __index = libraries.string })

local settings = { setpause = 200, setstepmul = 200, stop = 0, restart = 0 }

local builtins = {
  _VERSION = _VERSION,
  assert = assert,
  collectgarbage = function(option, ...)
    if settings[option] then
      return settings[option] -- the collector is of all scripts
    end
    return relay("collectgarbage", pcall(collectgarbage, option, ...))
  end,
  error = error,
  gcinfo = gcinfo,
  getmetatable = getmetatable,
  ipairs = ipairs,
  load = guard("load", safe_load),
  loadstring = safe_loadstring,
  next = function(t, ...)
    return relay("next", pcall(next, shown[t] or t, ...))
  end,
  pairs = function(t)
    return relay("pairs", pcall(pairs, shown[t] or t))
  end,
  pcall = safe_pcall,
  rawequal = rawequal,
  rawget = function(t, name)
    return relay("rawget", pcall(rawget, shown[t] or t, name))
  end,
  rawset = function(t, name, value)
    change_only_unfrozen(t)
    return relay("rawset", pcall(rawset, t, name, value))
  end,
  select = select,
  setmetatable = function(t, ...)
    change_only_unfrozen(t)
    return relay("setmetatable", pcall(setmetatable, t, ...))
  end,
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  unpack = unpack,
  xpcall = safe_xpcall,
}

local function globals_with(api)
  local real = copy(builtins, libraries)
  real.redis = api
  setmetatable(real, { __index = missing_global })
  return real
end

local function api(names)
  local made = {}
  for _, name in ipairs(names) do
    made[name] = api_values[name]
  end
  return made
end

local CONSTANTS = {
  "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING", "REDIS_VERSION", "REDIS_VERSION_NUM",
}
local OF_ALL = {
  "call", "pcall", "error_reply", "status_reply", "sha1hex", "log", "setresp", "set_repl", "acl_check_cmd",
  "REPL_ALL", "REPL_AOF", "REPL_NONE", "REPL_REPLICA", "REPL_SLAVE", unpack(CONSTANTS),
}

-- What scripts see.
local script_real = globals_with(freeze(api({ "replicate_commands", "breakpoint", "debug", unpack(OF_ALL) })))
local metatable_shown = freeze({ __index = missing_global })
script_globals = freeze(script_real, metatable_shown)
script_real._G = script_globals

-- What functions see: when their library is loaded, and later.
local function_real = globals_with(freeze(api(OF_ALL)))
function_real._G = freeze(function_real, metatable_shown)

local function library_globals()
  local loading_api = api({ "log", "register_function", unpack(CONSTANTS) })
  setmetatable(loading_api, { __index = missing_global })
  local loading = setmetatable({ redis = freeze(loading_api) }, { __index = missing_global })
  local metatable = { __index = loading, __newindex = refuse_assignment, __metatable = metatable_shown }
  local globals = setmetatable({}, metatable)
  shown[globals] = loading
  return globals, function()
    metatable.__index = function_real
    shown[globals] = function_real
  end
end

-- Running.

local FLAT_MAX = 1000 -- items of a reply that are returned one by one

local function trap(problem)
  if ending then
    return problem
  end
  local text
  if type(problem) == "userdata" then
    local ends
    text, ends = host.describe(problem)
    if ends then
      ending = true
      return problem
    end
  elseif type(problem) == "table" then
    text = rawget(problem, "err")
    if type(text) ~= "string" then
      text = "ERR unknown error"
    end
  else
    text = "ERR " .. tostring(problem)
  end
  local _, source, line = position(2)
  return { text, source, line }
end

local function finish(ok, result)
  if ok then
    local kind = type(result)
    if kind == "string" or kind == "number" then
      return result
    end
    local out = {}
    local n = flatten(out, 0, result, 0)
    if n <= FLAT_MAX then
      return true, unpack(out, 1, n)
    end
    host.make_room()
    return out
  end
  if type(result) == "table" then
    return false, result[1], result[2], result[3]
  end
  return false, "ERR " .. (type(result) == "string" and result or NO_MEMORY), "", -1
end

local function split(key_count, ...)
  if key_count < 0 then
    return ...
  end
  local keys, rest = {}, { ... }
  if key_count > 0 then
    local count = #rest
    for i = 1, key_count do
      keys[i] = rest[i]
    end
    for i = 1, count do
      rest[i] = rest[i + key_count]
    end
  end
  return keys, rest
end

local function run(f, key_count, ...)
  ending = false
  reset_cjson()
  running = f
  begin_random_anew()
  script_real.KEYS, script_real.ARGV = split(key_count, ...)
  return finish(xpcall(f, trap))
end

local function call(f, key_count, ...)
  ending = false
  reset_cjson()
  running = f
  begin_random_anew()
  local keys, rest = split(key_count, ...)
  return finish(xpcall(function()
    return f(keys, rest)
  end, trap))
end

local function compile(text, name, globals)
  local f, problem = loadstring(text, name)
  if not f then
    return false, problem
  end
  return setfenv(f, globals or script_globals)
end

local function load_library(text)
  ending = false
  local globals, open = library_globals()
  local f, problem = compile(text, "@user_function", globals)
  if not f then
    return false, "", problem
  end
  running = f
  local ok, result = xpcall(f, trap)
  open()
  if ok then
    return true
  end
  return false, type(result) == "table" and result[1] or "ERR " .. tostring(result)
end

local function forget()
  script_real.KEYS, script_real.ARGV = nil, nil
end

setfenv(0, {}) -- lupa looks for `debug` here, and must not meet a table that raises errors
sethook(hook, "", HOOK_INSTRUCTIONS)
collectgarbage("setpause", 150)
return run, call, compile, load_library, forget
