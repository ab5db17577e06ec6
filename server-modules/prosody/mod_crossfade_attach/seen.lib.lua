-- Decides `seen`: the stanza that an attached session gets now was also handed to a legacy resource. A wrong yes loses a message
-- at a rollback, a wrong no only repeats one, so the answer is yes only for the very stanza object that mod_message is routing.
local bare_sessions = prosody.bare_sessions;

local routed; -- the stanza mod_message routes, or has routed last
local carbon_copied; -- the stanza mod_carbons has decided to copy, or has copied last

local function about_to_route(event) routed = event.stanza; end
module:hook("message/bare", about_to_route, -0.99); -- right before mod_message (-1), after mod_mam (0) and mod_carbons (-0.5)
module:hook("message/full", about_to_route, -0.99);

module:wrap_event("carbons-should-copy", function (handlers, name, event)
	local should = handlers(name, event);
	carbon_copied = should and event.stanza or nil;
	return should;
end);

-- Both mod_c2s and mod_websocket leave a closing session among the user's resources for some seconds, deaf.
module:hook("pre-session-close", function (event) event.session.crossfade_closing = true; end);

-- Without `conn` are: attached sessions, those that wait for a resumption (mod_smacks), and BOSH.
local function takes_stanzas(session)
	return session.conn and not session.crossfade_closing;
end

-- To be asked with the stanza as mod_message passes it, before any filter.
local function seen_elsewhere(attached, stanza)
	if stanza ~= routed then return false; end
	local user = bare_sessions[attached.bare_jid];
	if not user then return false; end
	local directed = stanza.attr.to == attached.jid;
	local top_resources = not directed and user.top_resources;
	if top_resources then -- mod_message, process_to_bare: all of them get it
		for i = 1, #top_resources do
			if takes_stanzas(top_resources[i]) then return true; end
		end
	end
	if stanza ~= carbon_copied then return false; end
	local top_priority = top_resources and top_resources[1].priority;
	for _, session in pairs(user.sessions) do -- mod_carbons, message_handler: who gets a copy
		if session.want_carbons and session.priority ~= top_priority and takes_stanzas(session) then return true; end
	end
	return false;
end

return seen_elsewhere;
