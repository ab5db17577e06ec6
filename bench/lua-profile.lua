-- Loaded into Prosody before anything else (LUA_INIT): where its processor time goes, every 100 instructions of the Lua machine, into a file.
-- The time since the last look is counted for the function that runs now, so what a C function took goes to its caller.

local file = assert(os.getenv("CROSSFADE_LUA_PROFILE"));
local every = 100;
local write_after = 0.2; -- seconds of processor time
local deepest = 60;

local clock, getinfo, sethook = os.clock, debug.getinfo, debug.sethook;
local spent = {}; -- "share\tsource" -> seconds
local last, written = clock(), 0;

local function name_of(source)
	return source:match("([^/]+/[^/]+)$") or source;
end

-- "own": a function of the module runs. "called": one of Prosody's that the module called, down to where Prosody processes a stanza.
local function share_of(innermost)
	if innermost:find("mod_crossfade_attach", 1, true) then return "own"; end
	for level = 4, deepest do
		local info = getinfo(level, "S");
		if not info or info.source:find("stanza_router", 1, true) then return "rest"; end
		if info.source:find("mod_crossfade_attach", 1, true) then return "called"; end
	end
	return "rest";
end

local function write()
	local out = io.open(file..".new", "w");
	if not out then return; end
	for key, seconds in pairs(spent) do out:write(key, "\t", ("%.6f"):format(seconds), "\n"); end
	out:close();
	os.rename(file..".new", file);
end

local function look()
	local now = clock();
	local info = getinfo(2, "S");
	if info then
		local key = share_of(info.source).."\t"..name_of(info.source);
		spent[key] = (spent[key] or 0) + now - last;
	end
	if now - written > write_after then
		write();
		written = now;
	end
	last = clock();
end

-- A hook belongs to one coroutine, and Prosody works in many.
local create, wrap = coroutine.create, coroutine.wrap;
function coroutine.create(f)
	local co = create(f);
	sethook(co, look, "", every);
	return co;
end
function coroutine.wrap(f)
	return wrap(function (...)
		sethook(look, "", every);
		return f(...);
	end);
end
sethook(look, "", every);
