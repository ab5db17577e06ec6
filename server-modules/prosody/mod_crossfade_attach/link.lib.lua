-- One link: what the server still has to hand to the gateway, in order, until it is acknowledged. docs/attach-protocol.md, "The link".
local cache = require "util.cache";
local new_id = require "util.id".medium;
local xml_escape = require "util.stanza".xml_escape;
local os_time, pcall = os.time, pcall;

local xmlns_attach = "urn:crossfade:attach:1";
local max_remembered_ends = 10000;

local link_methods = {};
local link_mt = { __index = link_methods };

-- A link in a new epoch. `connection` is the component's stream after its hello, nil while it is away.
local function new_link(component, host, max_unacked)
	local epoch = new_id();
	return setmetatable({
		component = component, host = host, epoch = epoch, connection = nil;
		n = 0, acked = 0, queue = {}, max_unacked = max_unacked;
		attached = {}, attached_by_request = {}; -- full JID -> attached session; "user/asked-for resource" -> the same
		ended = cache.new(max_remembered_ends); -- JID -> { h, returned, reason }: a repeated detach gets the same answer
		missed = {}; -- username -> bare JID, escaped: copies of its messages did not fit. Empty whenever there is room
		keys = cache.new(2 * max_unacked); -- keys of send and return that are done
		to_gateway = ("<message from='%s' to='%s'>"):format(host, component);
		d_start = ("<message from='%s' to='%s'><d xmlns='%s' epoch='%s' n='"):format(host, component, xmlns_attach, epoch);
	}, link_mt);
end

-- Text goes out as it is. What a broken connection swallows is still in the queue and follows after the next hello.
function link_methods:write(text)
	local connection = self.connection;
	if connection and connection.send then pcall(connection.send, text); end
end

function link_methods:is_full()
	if self.n - self.acked < self.max_unacked then return false; end
	if not self.full then
		self.full = true;
		module:log("warn", "%s has not acknowledged %d stanzas: further ones go to other resources or offline storage, copies are left out",
			self.component, self.max_unacked);
	end
	return true;
end

-- Gives the next number, queues, then sends. `rest`: what follows the opening quote of `to`. `is_copy`: somebody else has it.
function link_methods:number(attached, rest, is_copy)
	local n = self.n + 1;
	local text = self.d_start..n.."' to='"..rest;
	self.n = n;
	self.queue[n] = { attached = attached, text = text, at = os_time(), is_copy = is_copy };
	self:write(text);
end

-- The stanza as text in the client namespace, as it goes into <d/>. One serialisation, no clone: the queue keeps text.
local function serialise(stanza)
	local text = tostring(stanza);
	if stanza.attr.xmlns then return text; end
	return "<"..stanza.name.." xmlns='jabber:client'"..text:sub(#stanza.name + 2);
end

-- Queues one stanza for an attached session. False when the queue is full: the caller must not drop the stanza. Throws what cannot
-- be serialised.
function link_methods:push(attached, stanza, seen, is_copy)
	local inner = serialise(stanza);
	if self:is_full() then return false; end
	attached.unacked = attached.unacked + 1;
	self:number(attached, attached.escaped_jid..(seen and "' seen='1'>" or "'>")..inner.."</d></message>", is_copy);
	return true;
end

-- Queues a copy for an observer. One that does not fit is left out.
function link_methods:copy(observer, dir, stanza)
	if self:is_full() then return self:miss(observer.username, observer.to); end
	self:number(nil, observer.to.."' dir='"..dir.."'>"..serialise(stanza).."</d></message>");
end

-- A copy did not fit, one for an observer or a carbon: the gateway is told as soon as there is room, whatever has become of its sessions.
function link_methods:miss(username, escaped_jid)
	self.missed[username] = escaped_jid;
end

-- There is room again: an empty <d/> in the place of each user's missing copies, before anything new.
function link_methods:tell_missed()
	for username, escaped_jid in pairs(self.missed) do
		if self:is_full() then return; end
		self.missed[username] = nil;
		self:number(nil, escaped_jid.."' missed='1'/></message>");
	end
end

-- Cumulative; frees everything up to h.
function link_methods:ack(h)
	local queue = self.queue;
	for n = self.acked + 1, h do
		local item = queue[n];
		if item.attached and not item.taken_back then item.attached.unacked = item.attached.unacked - 1; end
		queue[n] = nil;
	end
	if h > self.acked then self.acked, self.full = h, nil; end
	if next(self.missed) then self:tell_missed(); end
end

-- Sends what is not acknowledged once more, same numbers, same order.
function link_methods:replay()
	for n = self.acked + 1, self.n do self:write(self.queue[n].text); end
end

-- Takes the unacknowledged stanzas of one session (of all, if none is named) out of the queue, oldest first. Their numbers
-- stay, as empty <d/>, so that a replay has no gaps. Observers' copies are nobody's loss and stay.
function link_methods:take_back(attached)
	local taken = {};
	if attached and attached.unacked == 0 then return taken; end
	for n = self.acked + 1, self.n do
		local item = self.queue[n];
		if item.attached and not item.taken_back and (not attached or item.attached == attached) then
			taken[#taken + 1] = { attached = item.attached, text = item.text, at = item.at, is_copy = item.is_copy };
			item.taken_back = true;
			item.text = self.d_start..n.."' to='"..item.attached.escaped_jid.."'/></message>";
			item.attached.unacked = item.attached.unacked - 1;
		end
	end
	return taken;
end

-- Tells the gateway that the server ended a session.
function link_methods:announce_end(jid, ended)
	self:write(("%s<detached xmlns='%s' jid='%s' reason='%s' h='%d'/></message>"):format(
		self.to_gateway, xmlns_attach, xml_escape(jid), xml_escape(ended.reason), ended.h));
end

-- Again after each hello, until the gateway attaches or detaches that address: an announcement has no number.
function link_methods:announce_ends()
	for jid, ended in self.ended:items() do
		if ended.reason then self:announce_end(jid, ended); end
	end
end

function link_methods:count_attached()
	local count = 0;
	for _ in pairs(self.attached) do count = count + 1; end
	return count;
end

return { new = new_link };
