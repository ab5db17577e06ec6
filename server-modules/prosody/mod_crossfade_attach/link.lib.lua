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
		ended = cache.new(max_remembered_ends); -- full JID -> { h, returned, reason }: a repeated detach gets the same answer
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

-- Queues one serialised stanza, then sends it. False when the queue is full: the caller must not drop the stanza.
function link_methods:push(attached, inner, seen)
	if self.n - self.acked >= self.max_unacked then
		if not self.full then
			self.full = true;
			module:log("warn", "%s has not acknowledged %d stanzas: further ones go to other resources or offline storage",
				self.component, self.max_unacked);
		end
		return false;
	end
	local n = self.n + 1;
	local text = self.d_start..n.."' to='"..attached.escaped_jid..(seen and "' seen='1'>" or "'>")..inner.."</d></message>";
	self.n = n;
	self.queue[n] = { attached = attached, text = text, at = os_time() };
	attached.unacked = attached.unacked + 1;
	self:write(text);
	return true;
end

-- Cumulative; frees everything up to h.
function link_methods:ack(h)
	local queue = self.queue;
	for n = self.acked + 1, h do
		local item = queue[n];
		if not item.taken_back then item.attached.unacked = item.attached.unacked - 1; end
		queue[n] = nil;
	end
	if h > self.acked then self.acked, self.full = h, nil; end
end

-- Sends what is not acknowledged once more, same numbers, same order.
function link_methods:replay()
	for n = self.acked + 1, self.n do self:write(self.queue[n].text); end
end

-- Takes the unacknowledged stanzas of one session (of all, if none is named) out of the queue, oldest first. Their numbers
-- stay, as empty <d/>, so that a replay has no gaps.
function link_methods:take_back(attached)
	local taken = {};
	if attached and attached.unacked == 0 then return taken; end
	for n = self.acked + 1, self.n do
		local item = self.queue[n];
		if not item.taken_back and (not attached or item.attached == attached) then
			taken[#taken + 1] = { attached = item.attached, text = item.text, at = item.at };
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
