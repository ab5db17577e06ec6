-- Attached sessions for a gateway: the server's half of docs/attach-protocol.md, urn:crossfade:attach:1, for Prosody 0.12.
if module:get_host_type() == "component" then -- the small half on the Component: only there a lost connection is announced
	module:hook("component-disconnected", function (event)
		prosody.events.fire_event("crossfade-attach/disconnected", { session = event.session });
	end);
	return;
end

local jid_split = require "util.jid".prepped_split;
local st = require "util.stanza";
local stringprep = require "util.encodings".stringprep;
local timer = require "util.timer";
local user_exists = require "core.usermanager".user_exists;

local new_link = module:require "link".new;
local attached_sessions = module:require "attached";
local back = attached_sessions.back;
local observers = module:require "observe";
local locks = module:require "lock";
local about = module:require "about";

local xmlns_attach = "urn:crossfade:attach:1";
local version = "1";
local max_depth = 100; -- levels of a stanza: Prosody's storages take 127
local max_key_bytes = 256;
local components = module:get_option_set("crossfade_components", {});
local max_unacked = math.max(1, module:get_option_number("crossfade_max_unacked", 20000));
local resume_timeout = math.max(0, module:get_option_number("crossfade_resume_timeout", 3600));

local links = {}; -- component domain -> link

-- Ends every session first, so that nothing is routed from one to the other, then gives everything back in its order.
local function end_link(link, reason)
	links[link.component] = nil;
	if link.expiry then timer.stop(link.expiry); end
	if not reason then link.connection = nil; end -- what hello replaces has nothing more to say
	observers.forget(link);
	locks.forget(link);
	local taken = link:take_back();
	local attached = {};
	for _, one in pairs(link.attached) do attached[#attached + 1] = one; end
	for _, one in ipairs(attached) do attached_sessions.finish(one, reason); end
	back.reroute_all(taken);
	module:log("info", "Link of %s ended (%s): %d sessions, %d stanzas given back", link.component, reason or "a new epoch", #attached, #taken);
end

-- A count: digits only, not more than the link has numbered. Absent is nil; anything else false.
local function read_h(text, link)
	if text == nil then return nil; end
	local h = text:match("^%d+$") and tonumber(text);
	return h and h <= link.n and h or false;
end

local function is_deeper(element, levels)
	for _, child in ipairs(element.tags) do
		if levels == 0 or is_deeper(child, levels - 1) then return true; end
	end
	return false;
end

-- The one stanza inside a request, ready for Prosody; nil if it is not exactly one, or nested too deeply.
local function read_stanza(request)
	local inner = request.tags[1];
	if #request.tags ~= 1 or inner.attr.xmlns ~= "jabber:client" then return nil; end
	if inner.name ~= "message" and inner.name ~= "presence" and inner.name ~= "iq" then return nil; end
	if is_deeper(inner, max_depth) then return nil; end
	return back.without_client_namespace(inner);
end

-- Each command: (link or origin, request, stanza, respond) -> result element or true, or nil, error type, condition, text.
-- Nothing at all: it calls respond() itself, later.
local commands = {};

function commands.hello(origin, request, stanza)
	local attr = request.attr;
	if attr.v ~= version then
		return nil, "cancel", "feature-not-implemented", ("this server speaks version %s, not %s"):format(version, attr.v or "none");
	elseif not prosody.hosts[origin.host].modules.crossfade_attach then
		return nil, "cancel", "not-allowed", ("crossfade_attach is not in modules_enabled of the Component %q"):format(origin.host);
	end
	local link = links[origin.host];
	local resumed = link and attr.epoch == link.epoch;
	local h = resumed and read_h(attr.h, link);
	if h == false and resumed then
		return nil, "modify", "bad-request", ("h is no number up to %d"):format(link.n);
	end
	if not resumed then
		if link then end_link(link); end
		link = new_link(origin.host, module.host, max_unacked);
		links[origin.host] = link;
	end
	if link.expiry then timer.stop(link.expiry); link.expiry = nil; end
	link.connection = origin;
	if h then link:ack(h); end
	origin.send(st.reply(stanza):tag("welcome", { xmlns = xmlns_attach, v = version, epoch = link.epoch, h = ("%d"):format(link.acked);
		sessions = ("%d"):format(link:count_attached()), queue = ("%d"):format(link.n - link.acked);
		archive = prosody.hosts[module.host].modules.mam and "1" or nil }));
	module:log("info", "Link of %s %s at %d, %d unacknowledged", link.component, resumed and "resumed" or "begins", link.acked, link.n - link.acked);
	link:announce_ends();
	link:replay();
end

function commands.a(link, request)
	if request.attr.epoch ~= link.epoch then
		return nil, "cancel", "conflict", "this is the number of another epoch";
	end
	local h = read_h(request.attr.h, link);
	if not h then return nil, "modify", "bad-request", ("h is no number up to %d"):format(link.n); end
	link:ack(h);
	return true;
end

local function is_first_presence(element)
	return element.name == "presence" and element.attr.xmlns == "jabber:client" and not element.attr.type and not element.attr.to;
end

-- One <attach/>: the attached session and whether it was there, or nil, error type, condition, text.
local function attach(link, request)
	local presence = request.tags[1];
	if request.name ~= "attach" or request.attr.xmlns ~= xmlns_attach or not request.attr.user or not request.attr.resource
	or #request.tags > 1 or (presence and not is_first_presence(presence)) then
		return nil, "modify", "bad-request", "attach has a user, a resource and at most one undirected, available presence";
	end
	local username, resource = stringprep.nodeprep(request.attr.user, true), stringprep.resourceprep(request.attr.resource, true);
	if not username or username == "" or not resource or resource == "" then
		return nil, "modify", "jid-malformed", "user or resource is no part of a JID";
	elseif not user_exists(username, module.host) then
		return nil, "cancel", "item-not-found", "there is no such account";
	end
	local attached = link.attached_by_request[username.."/"..resource] or link.attached[username.."@"..module.host.."/"..resource];
	local resumed = attached ~= nil;
	if not attached then
		local err_type, condition, text;
		attached, err_type, condition, text = attached_sessions.bind(link, username, resource);
		if not attached then return nil, err_type, condition, text; end
	end
	attached.session.want_carbons = request.attr.carbons == "1" and "urn:xmpp:carbons:2" or nil;
	local fault;
	if presence and not attached.session.presence then
		back.without_client_namespace(presence);
		attached_sessions.run(attached, function (session) attached_sessions.process(session, presence); end, function (err) fault = err; end);
	end
	if fault then
		module:log("error", "The first presence of %s failed: %s", attached.jid, fault);
		attached_sessions.finish(attached);
		return nil, "wait", "internal-server-error", "the presence could not be processed";
	end
	return attached, resumed;
end

function commands.attach(link, _, stanza)
	local reply = st.reply(stanza);
	for _, request in ipairs(stanza.tags) do
		local ok, attached, detail, condition, text = pcall(attach, link, request);
		if not ok then
			module:log("error", "An attach failed: %s", attached);
			attached, detail, condition, text = nil, "wait", "internal-server-error", nil;
		end
		if attached then
			reply:tag("attached", { xmlns = xmlns_attach, jid = attached.jid, resumed = detail and "1" or nil }):up();
		else
			reply:tag("refused", { xmlns = xmlns_attach, type = detail, condition = condition, text = text }):up();
		end
	end
	return reply;
end

function commands.send(link, request, _, respond)
	local attached = link.attached[request.attr.from or ""];
	if not attached then return nil, "cancel", "item-not-found", "there is no such attached session"; end
	local inner = read_stanza(request);
	if not inner then return nil, "modify", "bad-request", "send holds exactly one message, presence or iq, at most 100 levels deep"; end
	local key = request.attr.key;
	if key and #key > max_key_bytes then return nil, "modify", "bad-request", "the key is too long"; end
	attached_sessions.run(attached, function (session)
		if key and link.keys:get(key) then return; end
		attached_sessions.process(session, inner);
		if key then link.keys:set(key, true); end
	end, function (fault)
		if not fault then return respond(true); end
		if fault == "ended" then return respond(nil, "cancel", "item-not-found", "there is no such attached session"); end
		module:log("error", "A stanza of %s failed: %s", attached.jid, fault);
		respond(nil, "cancel", "internal-server-error", "the server failed on this stanza");
	end);
end

commands["return"] = function (link, request)
	local key = request.attr.key;
	if key and #key > max_key_bytes then return nil, "modify", "bad-request", "the key is too long"; end
	if key and link.keys:get(key) then return true; end
	local username, host = jid_split(request.attr.to);
	if not username or host ~= module.host or not user_exists(username, host) then
		return nil, "cancel", "item-not-found", "there is no such account";
	end
	local inner = read_stanza(request);
	local when = back.read_stamp(request.attr.stamp);
	if not inner or (request.attr.stamp and not when) then
		return nil, "modify", "bad-request", "return holds exactly one stanza, at most 100 levels deep, and a stamp as in XEP-0082";
	end
	for _, address in ipairs({ inner.attr.from or username.."@"..host, inner.attr.to or host }) do
		if not back.has_domain(address) then return nil, "modify", "bad-request", "an address of the stanza has no domain"; end
	end
	local done, err_type, condition, text = back.give_back(username, inner, when, os.time());
	if not done then return nil, err_type, condition, text; end
	if key then link.keys:set(key, true); end
	return true;
end;

function commands.detach(link, request)
	local jid = request.attr.jid or "";
	local attached = link.attached[jid];
	local ended = attached and attached_sessions.finish(attached) or link.ended:get(jid);
	if not ended then return nil, "cancel", "item-not-found", "there is no such attached session"; end
	ended.reason = nil; -- the gateway knows
	return st.stanza("detached", { xmlns = xmlns_attach, jid = jid, h = ("%d"):format(ended.h), returned = ("%d"):format(ended.returned) });
end

-- The prepared name of an account, or nil, error type, condition, text.
local function read_user(request)
	local username = stringprep.nodeprep(request.attr.user or "", true);
	if not username or username == "" then return nil, "modify", "jid-malformed", "user is no local part of a JID"; end
	return username;
end

-- observe and lock: for an account that exists.
local function for_account(work)
	return function (link, request)
		local username, err_type, condition, text = read_user(request);
		if not username then return nil, err_type, condition, text; end
		if not user_exists(username, module.host) then return nil, "cancel", "item-not-found", "there is no such account"; end
		work(link, username, request);
		return true;
	end
end

-- unobserve and unlock: there may be nothing to end, not even an account.
local function for_any(work)
	return function (link, request)
		local username, err_type, condition, text = read_user(request);
		if not username then return nil, err_type, condition, text; end
		work(link, username);
		return true;
	end
end

commands.observe, commands.unobserve = for_account(observers.observe), for_any(observers.unobserve);
commands.unlock = for_any(locks.unlock);
commands.lock = for_account(function (link, username, request)
	local text = request:get_text();
	locks.lock(link, username, text and text ~= "" and text or nil, request.attr.kick == "1");
end);

-- Who asks, whether it may, and the answer. A fault in a command is answered, too, and ends nothing else.
local function serve(name, command)
	module:hook("iq-set/host/"..xmlns_attach..":"..name, function (event)
		local origin, stanza = event.origin, event.stanza;
		local function respond(result, err_type, condition, text)
			if not origin.send then return; end -- the connection has gone meanwhile
			if not result then origin.send(st.error_reply(stanza, err_type, condition, text));
			elseif result == true then origin.send(st.reply(stanza));
			elseif result.name == "iq" then origin.send(result);
			else origin.send(st.reply(stanza):add_child(result)); end
		end
		if origin.type ~= "component" or not components:contains(origin.host) then
			respond(nil, "auth", "forbidden", "only a component in crossfade_components may do this");
			return true;
		end
		local link = links[origin.host];
		if name ~= "hello" and not (link and link.connection == origin) then
			respond(nil, "wait", "unexpected-request", "say hello first on this connection");
			return true;
		elseif name ~= "attach" and #stanza.tags ~= 1 then
			respond(nil, "modify", "bad-request", "only attach may stand beside others");
			return true;
		end
		local ok, result, err_type, condition, text = pcall(command, name == "hello" and origin or link, stanza.tags[1], stanza, respond);
		if not ok then
			module:log("error", "%s failed: %s", name, result);
			respond(nil, "wait", "internal-server-error", "the server failed on this request");
		elseif result or err_type then
			respond(result, err_type, condition, text);
		end
		return true;
	end);
end

for name, command in pairs(commands) do serve(name, command); end

-- Asked before any link, or beside one that somebody else holds.
module:hook("iq-get/host/"..xmlns_attach..":about", function (event)
	local origin, stanza = event.origin, event.stanza;
	if origin.type ~= "component" or not components:contains(origin.host) then
		origin.send(st.error_reply(stanza, "auth", "forbidden", "only a component in crossfade_components may do this"));
	else
		origin.send(st.reply(stanza):add_child(about.describe(origin.host, {
			xmlns = xmlns_attach, version = version, resume_timeout = resume_timeout, max_unacked = max_unacked;
		})));
	end
	return true;
end);

-- The gateway is away: its sessions stay and their stanzas wait, for a while.
module:hook_global("crossfade-attach/disconnected", function (event)
	for _, link in pairs(links) do
		if link.connection == event.session then
			link.connection = nil;
			link.expiry = timer.add_task(resume_timeout, function ()
				link.expiry = nil;
				if links[link.component] == link then end_link(link, "expired"); end
			end);
		end
	end
end);

-- Closes the connections, too: a gateway that comes back says hello to whatever is here then.
local function end_all_links(reason, condition)
	local all = {};
	for _, link in pairs(links) do all[#all + 1] = link; end
	for _, link in ipairs(all) do
		local connection = link.connection;
		end_link(link, reason);
		if connection and connection.close then
			local ok, err = pcall(connection.close, connection, { condition = condition, text = "crossfade_attach: "..reason });
			if not ok then module:log("error", "The connection of %s could not be closed: %s", link.component, err); end
		end
	end
end

-- After mod_c2s has closed its sessions (-100): nothing goes to a client that is just leaving.
module:hook_global("server-stopping", function () end_all_links("shutdown", "system-shutdown"); end, -110);
function module.unload() end_all_links("unloaded", "reset"); end

if components:empty() then module:log("warn", "crossfade_components is empty: nobody may attach sessions"); end
