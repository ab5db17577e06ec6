-- How Prosody prepares addresses. In: one a line, in hex of UTF-8. Out: its three parts in hex, "-" where it is none, "?" where it has
-- code points that stringprep (Unicode 3.2) does not know: those it leaves as they are.
package.path = "/usr/lib/prosody/?.lua;"..package.path;
package.cpath = "/usr/lib/prosody/?.so;"..package.cpath;
local jid = require "util.jid";
local stringprep = require "util.encodings".stringprep;

local function from_hex(text) return (text:gsub("..", function (two) return string.char(tonumber(two, 16)); end)); end
local function to_hex(text) return ((text or ""):gsub(".", function (byte) return ("%02x"):format(byte:byte()); end)); end

local function prepare(text)
	local node, host, resource = jid.prepped_split(text);
	if not host then return "-"; end
	local raw_node, raw_host, raw_resource = jid.split(text);
	local known = (not node or stringprep.nodeprep(raw_node, true)) and stringprep.nameprep(raw_host, true)
		and (not resource or stringprep.resourceprep(raw_resource, true));
	return known and ("%s %s %s"):format(to_hex(node), to_hex(host), to_hex(resource)) or "?";
end

for line in io.lines() do print(prepare(from_hex(line))); end
