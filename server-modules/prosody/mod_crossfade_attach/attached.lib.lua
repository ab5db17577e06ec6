-- An attached session: a client's session for Prosody, without a socket of its own; what it is sent goes to the link.
local async = require "util.async";
local filters = require "util.filters";
local id = require "util.id";
local logger = require "util.logger";
local sessionmanager = require "core.sessionmanager";
local st = require "util.stanza";
local resourceprep = require "util.encodings".stringprep.resourceprep;
local hosts = prosody.hosts;
local host = module.host;

local back = module:require "give_back";
local seen_elsewhere = module:require "seen";

local is_stanza_name = { message = true, presence = true, iq = true };

-- Returns whether the stanza is taken. On false Prosody routes it to other resources or to offline storage, as for any client.
local function send(attached, stanza)
	if attached.is_ended then return false; end
	local xmlns = st.is_stanza(stanza) and (stanza.attr.xmlns or "jabber:client");
	if xmlns ~= "jabber:client" or not is_stanza_name[stanza.name] then return true; end -- keep-alives and nonzas have no place on a link
	local seen = seen_elsewhere(attached, stanza);
	local is_copy = seen or back.is_copy(stanza, attached.bare_jid);
	stanza = attached.session.filter("stanzas/out", stanza);
	if not stanza then return true; end
	local ok, taken = pcall(attached.link.push, attached.link, attached, stanza, seen, is_copy);
	if not ok then
		module:log("error", "A stanza for %s cannot be serialised: %s", attached.jid, taken);
		return false;
	end
	if taken then return true; end
	-- What others have, or are given instead, the app lacks: it is in the archive.
	if is_copy or stanza.name == "message" then attached.link:miss(attached.username, attached.escaped_bare_jid); end
	if is_copy then return true; end -- whoever else is to have it has it
	if not attached.flush_overflow then return false; end
	table.insert(attached.flush_overflow, st.clone(stanza)); -- mod_offline does not look at the answer
	return true;
end

-- Ends the session; contacts see a plain unavailable. What it had not acknowledged goes back to its user. `reason` is set when the
-- server ends it: then the gateway is told.
local function finish(attached, reason)
	if attached.is_ended then return; end
	attached.is_ended = true;
	local link, jid = attached.link, attached.jid;
	link.attached[jid], link.attached_by_request[attached.request] = nil, nil;
	local ok, err = pcall(sessionmanager.destroy_session, attached.session);
	if not ok then module:log("error", "A handler failed at the end of %s: %s", jid, err); end
	local taken = link:take_back(attached);
	back.reroute_all(taken);
	for _, item in ipairs(taken) do
		if item.is_copy then link:miss(attached.username, attached.escaped_bare_jid); end
	end
	link:tell_missed();
	local ended = { h = link.acked, returned = #taken, reason = reason };
	link.ended:set(jid, ended);
	if reason then link:announce_end(jid, ended); end
	return ended;
end

local function close(attached, reason)
	local text = type(reason) == "table" and (reason.condition or reason.text) or reason;
	finish(attached, type(text) == "string" and text or "closed");
end

-- A name no other session of the user has: a legacy client keeps what it holds.
local function free_resource(username, resource)
	local user = hosts[host].sessions[username];
	local taken = user and user.sessions or {};
	local free = resource;
	while taken[free] do free = resource.."-"..id.short(); end
	return free;
end

-- Binds a session for an existing user (prepared name) and resource. nil, error type, condition, text if Prosody refuses.
local function bind(link, username, resource)
	local attached = { link = link, username = username, bare_jid = username.."@"..host, request = username.."/"..resource, unacked = 0 };
	local session = {
		type = "c2s_unbound", base_type = "c2s", id = "attached"..id.short(), username = username, host = host;
		secure = true, ip = link.connection.conn:ip(), conntime = os.time(), crossfade_attached = attached;
	};
	session.log = logger.init(session.id);
	attached.session = session;
	filters.initialize(session);
	function session.send(stanza) return send(attached, stanza); end
	session.rawsend = session.send;
	function session.close(_, reason) return close(attached, reason); end
	local bound, err_type, condition, text = sessionmanager.bind_resource(session, free_resource(username, resource));
	if not bound then return nil, err_type, condition, text; end
	attached.jid, attached.escaped_jid = session.full_jid, st.xml_escape(session.full_jid);
	attached.escaped_bare_jid = st.xml_escape(attached.bare_jid);
	attached.thread = async.runner(function (job)
		attached.job = job;
		if attached.is_ended then return job.done("ended"); end
		job.work(session);
		job.done();
	end, { error = function (_, err) attached.job.done(err); end });
	link.attached[attached.jid], link.attached_by_request[attached.request] = attached, attached;
	link.ended:set(attached.jid, nil);
	return attached;
end

-- Does `work(session)` as the session: one after the other, where handlers may wait as they may for clients. Then `done(fault)`.
local function run(attached, work, done)
	attached.thread:run({ work = work, done = done });
end

local function process(session, stanza)
	stanza = session.filter("stanzas/in", stanza);
	if not stanza then return; end
	local to, kind = stanza.attr.to, stanza.attr.type;
	if not to or back.is_jid(to) then return prosody.core_process_stanza(session, stanza); end
	if kind == "error" or kind == "result" then return; end
	stanza.attr.from = session.full_jid;
	session.send(st.error_reply(stanza, "modify", "jid-malformed", "The destination address is invalid: "..to));
end

-- Before mod_c2s (200) closes all sessions of the account with a reason for clients.
module:hook_global("user-deleted", function (event)
	local user = event.host == host and hosts[host].sessions[event.username];
	local gone = {};
	for _, session in pairs(user and user.sessions or {}) do gone[#gone + 1] = session.crossfade_attached; end
	for _, attached in ipairs(gone) do finish(attached, "deleted"); end
end, 300);

-- A legacy client that asks for the resource of an attached session gets another one.
module:hook("pre-resource-bind", function (event)
	local resource = not event.session.crossfade_attached and event.resource and resourceprep(event.resource, true);
	local user = hosts[host].sessions[event.session.username];
	local holder = resource and user and user.sessions[resource];
	if holder and holder.crossfade_attached then event.resource = free_resource(event.session.username, resource); end
end);

-- mod_offline deletes what it has flushed, taken or not: what the queue does not take is stored again.
module:wrap_event("message/offline/broadcast", function (handlers, name, event)
	local attached = event.origin.crossfade_attached;
	if not attached then return handlers(name, event); end
	attached.flush_overflow = {};
	local ok, result = pcall(handlers, name, event);
	local overflow = attached.flush_overflow;
	attached.flush_overflow = nil;
	for _, stanza in ipairs(overflow) do back.reroute(attached.username, stanza, os.time()); end
	if not ok then error(result, 0); end
	return result;
end);

return { bind = bind, finish = finish, run = run, process = process, back = back };
