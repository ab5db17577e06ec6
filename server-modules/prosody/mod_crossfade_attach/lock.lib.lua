-- Keeps a user's legacy clients out, with a text for people; attached sessions are not concerned. docs/attach-protocol.md, "lock".
local sessionmanager = require "core.sessionmanager";
local hosts = prosody.hosts;
local host = module.host;

local locked = {}; -- username -> { link, text }

-- Before any other module looks at the resource. One that resumes (XEP-0198) has been bound before: `kick` ends it.
module:hook("pre-resource-bind", function (event)
	local session = event.session;
	local lock = not session.crossfade_attached and locked[session.username];
	if not lock then return; end
	session.log("info", "Login refused: the account is locked for legacy clients");
	event.error = { type = "cancel", condition = "not-allowed", text = lock.text };
	return false;
end, 100);

local function kick(username, text)
	local user = hosts[host].sessions[username];
	local clients = {};
	for _, session in pairs(user and user.sessions or {}) do
		if not session.crossfade_attached then clients[#clients + 1] = session; end
	end
	for _, session in ipairs(clients) do
		local ok, err = pcall(session.close, session, { condition = "policy-violation", text = text });
		if not ok then module:log("error", "A client of %s could not be closed: %s", username, err); end
		-- One that waits for its resumption has no connection that could close.
		if not session.conn then pcall(sessionmanager.destroy_session, session, text); end
	end
end

local function lock(link, username, text, kicks)
	locked[username] = { link = link, text = text };
	if kicks then kick(username, text); end
end

local function unlock(link, username)
	if locked[username] and locked[username].link == link then locked[username] = nil; end
end

-- The link is gone, and its locks with it.
local function forget(link)
	for username, one in pairs(locked) do
		if one.link == link then locked[username] = nil; end
	end
end

module:hook_global("user-deleted", function (event)
	if event.host == host then locked[event.username] = nil; end
end);

return { lock = lock, unlock = unlock, forget = forget };
