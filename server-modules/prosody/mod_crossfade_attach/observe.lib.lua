-- Copies of what a user sends and receives, for the gateway, without any session: nobody can tell. docs/attach-protocol.md, "observe".
local jid_split = require "util.jid".prepped_split;
local xml_escape = require "util.stanza".xml_escape;
local hosts = prosody.hosts;
local host = module.host;

local observed = {}; -- username -> { link, to }

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
	local observer = username and observed[username];
	if not observer or stanza.attr.type == "groupchat" or is_attached(username, observer.link) then return; end
	local ok, err = pcall(observer.link.copy, observer.link, observer, dir, stanza);
	if not ok then module:log("error", "A copy for the observer of %s failed: %s", username, err); end
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
	observed[username] = { link = link, username = username, to = xml_escape(bare_jid) };
end

local function unobserve(link, username)
	link.ended:set(username.."@"..host, nil);
	if observed[username] and observed[username].link == link then observed[username] = nil; end
end

-- The link is gone, and what it observed with it.
local function forget(link)
	for username, observer in pairs(observed) do
		if observer.link == link then observed[username] = nil; end
	end
end

module:hook_global("user-deleted", function (event)
	local observer = event.host == host and observed[event.username];
	if not observer then return; end
	unobserve(observer.link, event.username);
	local bare_jid, ended = event.username.."@"..host, { h = observer.link.acked, returned = 0, reason = "deleted" };
	observer.link.ended:set(bare_jid, ended);
	observer.link:announce_end(bare_jid, ended);
end, 290);

return { observe = observe, unobserve = unobserve, forget = forget };
