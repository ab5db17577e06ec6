-- Gives a stanza that no app got back to its user: other resources first, else offline storage with the original time.
-- Neither archive nor carbons see it a second time. What no resource gets is treated as RFC 6121 §8.5 says.
local st = require "util.stanza";
local datetime = require "util.datetime";
local jid_split = require "util.jid".prepped_split;
local nameprep = require "util.encodings".stringprep.nameprep;
local parse_xml = require "util.xml".parse;
local bare_sessions, hosts = prosody.bare_sessions, prosody.hosts;
local host = module.host;

local xmlns_attach = "urn:crossfade:attach:1";
local xmlns_carbons = "urn:xmpp:carbons:2";
local xmlns_delay = "urn:xmpp:delay";
local xmlns_mam = "urn:xmpp:mam:2";

local offline_messages = module:open_store("offline", "archive");

-- Prosody knows stanzas of the client namespace by their having none; archives and offline storage miss them otherwise.
local function without_client_namespace(element)
	if element.attr.xmlns == "jabber:client" then
		element.attr.xmlns = nil;
		for _, child in ipairs(element.tags) do without_client_namespace(child); end
	end
	return element;
end

-- Prosody 0.12 takes for a JID what has a part of nothing but characters that preparation leaves out (a soft hyphen), and fails on it later.
local function is_jid(text)
	local node, domain, resource = jid_split(text);
	return domain and domain ~= "" and node ~= "" and resource ~= "";
end

-- Of a sender with such a part Prosody makes "@domain" or "node@domain/", and hands that out: so it takes it back, too.
local function has_domain(text)
	local domain = nameprep(text:match("^[^/]*"):match("[^@]*$"));
	return domain and domain ~= "";
end

-- Time in seconds of a stamp as in XEP-0082, or nil. On some (1969-12-31T23:59:59Z) datetime.parse fails, and anybody can forge one.
local function read_stamp(text)
	local ok, when = pcall(datetime.parse, text);
	return ok and when or nil;
end

local function bounce(stanza, err_type, condition, text)
	local from = stanza.attr.from;
	if not from or not is_jid(from) then return; end -- from this server itself, or nobody who could be told
	prosody.core_post_stanza(hosts[host], st.error_reply(stanza, err_type, condition, text), false);
end

-- Copies of what is kept elsewhere: carbons and archive results, which only the own account can send (XEP-0280 §11, XEP-0313).
local function is_copy(stanza, bare_jid)
	local from = stanza.attr.from;
	return (not from or from == bare_jid) and (stanza:get_child("received", xmlns_carbons) or stanza:get_child("sent", xmlns_carbons)
		or stanza:get_child("result", xmlns_mam)) and true;
end

-- The server's own delay stamp is taken off: the flush of offline storage, or we, will write it anew.
local function take_own_stamp(stanza)
	local stamp;
	stanza:maptags(function (tag)
		if tag.name == "delay" and tag.attr.xmlns == xmlns_delay and tag.attr.from == host then
			stamp = tag.attr.stamp;
			return nil;
		end
		return tag;
	end);
	return read_stamp(stamp);
end

-- The available legacy resources of the highest priority, as RFC 6121 §8.5.2.1.1 would choose them.
local function send_to_resources(user, stanza, when)
	local best, chosen = 0, {};
	for _, session in pairs(user.sessions) do
		local priority = not session.crossfade_attached and session.presence and session.priority;
		if priority and priority >= best then
			if priority > best then best, chosen = priority, {}; end
			chosen[#chosen + 1] = session;
		end
	end
	if not chosen[1] then return false; end
	local stamped = st.clone(stanza):reset():tag("delay", { xmlns = xmlns_delay, from = host, stamp = datetime.datetime(when) }):up();
	local sent = false;
	for _, session in ipairs(chosen) do
		local ok, taken = pcall(session.send, stamped);
		sent = ok and taken or sent;
	end
	return sent;
end

-- `when`: seconds since 1970, or nil for the stanza's own stamp (of this server), else `otherwise`.
-- True when the stanza is dealt with, or nil, error type, condition, text.
local function give_back(username, stanza, when, otherwise)
	local bare_jid = username.."@"..host;
	local kind = stanza.attr.type;
	if stanza.name == "iq" then
		if kind == "get" or kind == "set" then bounce(stanza, "cancel", "service-unavailable"); end
		return true;
	end
	if stanza.name ~= "message" or kind == "error" or kind == "groupchat" or kind == "headline" or is_copy(stanza, bare_jid) then
		return true;
	end
	-- Not core.usermanager's user_exists: that says yes as long as a session is open.
	if not hosts[host].users.user_exists(username) then return nil, "cancel", "service-unavailable"; end
	stanza.attr.to = stanza.attr.to or bare_jid;
	local own_stamp = take_own_stamp(stanza);
	when = when or own_stamp or otherwise;
	local user = bare_sessions[bare_jid];
	if user and send_to_resources(user, stanza, when) then return true; end
	if not hosts[host].modules.offline then
		return nil, "cancel", "service-unavailable", "there is no offline storage here";
	end
	local ok, stored, err = pcall(offline_messages.append, offline_messages, username, nil, stanza, when, "");
	if ok and stored then return true; end
	module:log("warn", "Offline storage of %s did not take a message: %s", bare_jid, ok and err or stored);
	return nil, "wait", "resource-constraint", "offline storage did not take the message";
end

-- The same for a stanza on its way to an attached session; when nobody can take it, its sender is told.
local function reroute(username, stanza, otherwise)
	local ok, done, err_type, condition, text = pcall(give_back, username, stanza, nil, otherwise);
	if not ok then
		module:log("error", "Giving back %s failed: %s", stanza:top_tag(), done);
		err_type, condition, text = "wait", "internal-server-error", nil;
	end
	if not (ok and done) then bounce(stanza, err_type, condition, text); end
end

local function reroute_item(item)
	local ok, envelope = pcall(parse_xml, item.text);
	local stanza = ok and envelope and envelope:get_child("d", xmlns_attach).tags[1];
	if stanza then
		local done, err = pcall(reroute, item.attached.username, without_client_namespace(stanza), item.at);
		if not done then module:log("error", "A stanza for %s could not be given back: %s", item.attached.jid, err); end
	else
		module:log("error", "A stanza for %s could not be read again: %s", item.attached.jid, envelope);
	end
end

-- The same for items taken out of a link's queue, in their order. What another resource has had is not given to it again.
local function reroute_all(items)
	for _, item in ipairs(items) do
		if not item.is_copy then reroute_item(item); end
	end
end

return {
	is_copy = is_copy, give_back = give_back, reroute = reroute, reroute_all = reroute_all;
	without_client_namespace = without_client_namespace, read_stamp = read_stamp, is_jid = is_jid, has_domain = has_domain;
};
