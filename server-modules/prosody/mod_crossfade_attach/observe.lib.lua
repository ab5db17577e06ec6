-- Copies of what a user sends and receives, for the gateway, without any session: nobody can tell. docs/attach-protocol.md, "observe".
local jid_split = require "util.jid".prepped_split;
local xml_escape = require "util.stanza".xml_escape;
local hosts = prosody.hosts;
local host = module.host;

local observed = {}; -- username -> link -> { username, to }

-- Its own session gets what goes to it or is carbon-copied: the gateway is not told twice.
local function is_attached(username, link)
	local user = hosts[host].sessions[username];
	for _, session in pairs(user and user.sessions or {}) do
		local attached = session.crossfade_attached;
		if attached and attached.link == link and session.presence and session.want_carbons then return true; end
	end
	return false;
end

-- `stanza` as it is behind the archive (0) and before carbons (-0.5): with the archive's id, where it has one.
local function copy(username, dir, stanza)
	local observers = username and observed[username];
	if not observers or stanza.attr.type == "groupchat" then return; end
	for link, observer in pairs(observers) do
		if not is_attached(username, link) then
			local ok, err = pcall(link.copy, link, observer, dir, stanza);
			if not ok then module:log("error", "A copy for the observer of %s failed: %s", username, err); end
		end
	end
end

local function sent(event)
	local origin = event.origin;
	if origin.type == "c2s" and not origin.crossfade_attached then copy(origin.username, "out", event.stanza); end
end
for _, kind in ipairs { "bare", "full", "host" } do module:hook("pre-message/"..kind, sent, -0.4); end

local function received(event)
	if not next(observed) then return; end
	local to = event.stanza.attr.to;
	copy(to and jid_split(to) or event.origin.username, "in", event.stanza);
end
module:hook("message/bare", received, -0.4);
module:hook("message/full", received, -0.4);

local function observe(link, username)
	local bare_jid = username.."@"..host;
	link.ended:set(bare_jid, nil);
	observed[username] = observed[username] or {};
	observed[username][link] = { username = username, to = xml_escape(bare_jid) };
end

local function stop(link, username)
	local observers = observed[username];
	if not observers then return; end
	observers[link] = nil;
	if not next(observers) then observed[username] = nil; end
end

local function unobserve(link, username)
	link.ended:set(username.."@"..host, nil);
	stop(link, username);
end

-- The link is gone, and what it observed with it.
local function forget(link)
	for username in pairs(observed) do stop(link, username); end
end

module:hook_global("user-deleted", function (event)
	local observers = event.host == host and observed[event.username];
	if not observers then return; end
	observed[event.username] = nil;
	local bare_jid = event.username.."@"..host;
	for link in pairs(observers) do
		local ended = { h = link.acked, returned = 0, reason = "deleted" };
		link.ended:set(bare_jid, ended);
		link:announce_end(bare_jid, ended);
	end
end, 290);

return { observe = observe, unobserve = unobserve, forget = forget };
