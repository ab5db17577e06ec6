-- What this server is set to, for the gateway's doctor (docs/attach-protocol.md, about). Changes nothing, needs no link.
local datetime = require "util.datetime";
local st = require "util.stanza";

local modules = prosody.hosts[module.host].modules;
local lib = {};

local function flag(name) return modules[name] and "1" or nil; end

-- Messages that offline storage keeps for one user; nil: without bound, or unknown to the storage.
local function offline_limit()
	local store = modules.offline and module:open_store("offline", "archive");
	local quota = store and store.caps and store.caps.quota;
	return quota and ("%d"):format(quota) or nil;
end

-- `component`: the domain that asks. Sizes in bytes, times in seconds.
function lib.describe(component, own)
	local on_component = module:context(component);
	return st.stanza("about", {
		xmlns = own.xmlns, v = own.version, name = "Prosody", release = prosody.version,
		["resume-timeout"] = ("%d"):format(own.resume_timeout), ["max-unacked"] = ("%d"):format(own.max_unacked),
		["stanza-limit"] = ("%d"):format(on_component:get_option_number("component_stanza_size_limit",
			on_component:get_option_number("s2s_stanza_size_limit", 1024 * 512))),
		archive = flag("mam"), carbons = flag("carbons"), offline = flag("offline"), ["offline-limit"] = offline_limit(), smacks = flag("smacks"),
		replaces = on_component:get_option_string("component_conflict_resolve") == "kick_old" and "1" or nil,
		announces = prosody.hosts[component].modules.crossfade_attach and "1" or nil,
		at = datetime.datetime(),
	});
end

return lib;
