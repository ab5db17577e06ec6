-- Keeps a user's legacy clients out, with a text for people; attached sessions are not concerned. docs/attach-protocol.md, "lock".
local sessionmanager = require "core.sessionmanager";
local hosts = prosody.hosts;
local host = module.host;

local locked = {}; -- username -> link -> text, or false

-- Before any other module looks at the resource. One that resumes (XEP-0198) has been bound before: `kick` ends it.
module:hook("pre-resource-bind", function (event)
	local session = event.session;
	local locks = not session.crossfade_attached and locked[session.username];
	if not locks then return; end
	session.log("info", "Login refused: the account is locked for legacy clients");
	local _, text = next(locks);
	event.error = { type = "cancel", condition = "not-allowed", text = text or nil };
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
	locked[username] = locked[username] or {};
	locked[username][link] = text or false;
	if kicks then kick(username, text); end
end

local function unlock(link, username)
	local locks = locked[username];
	if not locks then return; end
	locks[link] = nil;
	if next(locks) == nil then locked[username] = nil; end
end

-- The link is gone, and its locks with it.
local function forget(link)
	for username in pairs(locked) do unlock(link, username); end
end

module:hook_global("user-deleted", function (event)
	if event.host == host then locked[event.username] = nil; end
end);

return { lock = lock, unlock = unlock, forget = forget };
