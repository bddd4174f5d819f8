-- HTTP over DCCP and SCTP, and DCCP in UDP, for Wireshark and tshark 3.6 and later.
--
--     tshark -X lua_script:docs/wireshark/http-over-messages.lua -r FILE
--
-- or copy this file into the folder "Personal Lua Plugins" that Help > About > Folders names.
--
-- What it adds:
--   * DCCP in UDP (RFC 6773), on port 6511 or the one set in its preferences;
--   * HTTP in DCCP: heads go to Wireshark's own HTTP dissector, so that http.request.uri and the
--     like work; blocks of docs/framing.md are shown with their exchange and offset;
--   * HTTP in SCTP, where the payload protocol identifier is 63.
--
-- Filters: http_messages, http_messages.start_line, http_messages.exchange, http_messages.offset,
-- http_messages.data_len; dccp_udp.

------------------------------------------------------------------------------------------------
-- HTTP in messages
------------------------------------------------------------------------------------------------

local messages = Proto("http_messages", "HTTP over messages")

local start_line = ProtoField.string("http_messages.start_line", "Start line")
local framing = ProtoField.string("http_messages.framing", "Body-Framing")
local exchange = ProtoField.uint16("http_messages.exchange", "Exchange")
local offset = ProtoField.uint64("http_messages.offset", "Offset")
local data_len = ProtoField.uint32("http_messages.data_len", "Length of the data")
local data = ProtoField.bytes("http_messages.data", "Data")
messages.fields = { start_line, framing, exchange, offset, data_len, data }

-- What is known of a connection, by its addresses and ports: whether it carries HTTP, and whether
-- the framing was offered or granted on it. Filled in the order in which packets are first read.
local connections = {}

function messages.init()
    connections = {}
end

local function key(pinfo)
    local source = tostring(pinfo.src) .. " " .. pinfo.src_port
    local destination = tostring(pinfo.dst) .. " " .. pinfo.dst_port
    if source < destination then
        return source .. " " .. destination
    end
    return destination .. " " .. source
end

local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, DELETE = true, OPTIONS = true }

-- The first line, if the message is a head.
local function first_line(text)
    local line = text:match("^[^\r\n]*")
    if line:match("^HTTP/%d") then
        return line
    end
    local method = line:match("^(%u+) ")
    if method ~= nil and METHODS[method] then
        return line
    end
    return nil
end

-- The value of the field Body-Framing, if the head has one.
local function framing_of(text)
    for name, value in text:gmatch("\n([%w%-]+):[ \t]*([^\r\n]*)") do
        if name:lower() == "body-framing" then
            return value
        end
    end
    return nil
end

local http = Dissector.get("http")

local function show_head(tvb, pinfo, tree, line, text, connection)
    local value = framing_of(text)
    if value ~= nil then
        connection.framed = true
    end
    local item = tree:add(messages, tvb(), "HTTP over messages: " .. line)
    item:add(start_line, tvb(0, #line))
    if value ~= nil then
        item:add(framing, value)
    end
    -- A head without an empty line, such as "GET / HTTP 1.0", is none to the other dissector.
    if text:find("\n") ~= nil then
        http:call(tvb, pinfo, tree)
    else
        pinfo.cols.info:set(line)
    end
end

-- A block of docs/framing.md, section 4: exchange (16 bits, 1 to 16383), offset (48 bits), data.
local function show_block(tvb, pinfo, tree)
    local length = tvb:len() - 8
    local number, from = tvb(0, 2):uint(), tvb(2, 6):uint64()
    local to = from + length - 1
    local words = string.format(
        "exchange %d, bytes %s to %s", number, tostring(from), tostring(to))
    local item = tree:add(messages, tvb(), "HTTP over messages: " .. words)
    item:add(exchange, tvb(0, 2))
    item:add(offset, tvb(2, 6), from)
    item:add(data_len, tvb(8), length)
    item:add(data, tvb(8))
    pinfo.cols.info:set("Body, " .. words)
end

local function show_plain(tvb, pinfo, tree)
    local length = tvb:len()
    local item = tree:add(messages, tvb(), "HTTP over messages: body, " .. length .. " bytes")
    item:add(data_len, tvb(), length)
    item:add(data, tvb())
    pinfo.cols.info:set("Body, " .. length .. " bytes")
end

-- Shows a message and returns true, or returns false if it is none of ours.
local function show(tvb, pinfo, tree)
    if tvb:len() == 0 then
        return false
    end
    local name = key(pinfo)
    local text = tvb:raw()
    local line = first_line(text)
    if line == nil and connections[name] == nil then
        return false
    end
    local connection = connections[name] or { framed = false }
    connections[name] = connection
    pinfo.cols.protocol = "HTTP"
    if line ~= nil then
        show_head(tvb, pinfo, tree, line, text, connection)
    elseif not connection.framed then
        show_plain(tvb, pinfo, tree)
    elseif tvb:len() > 8 and tvb(0, 1):uint() < 0x40 and tvb(0, 2):uint() > 0 then
        show_block(tvb, pinfo, tree)
    else
        return false
    end
    return true
end

function messages.dissector(tvb, pinfo, tree)
    if show(tvb, pinfo, tree) then
        return tvb:len()
    end
    return 0
end

messages:register_heuristic("dccp", show)
DissectorTable.get("sctp.ppi"):add(63, messages)

------------------------------------------------------------------------------------------------
-- DCCP in UDP
------------------------------------------------------------------------------------------------

local dccp_udp = Proto("dccp_udp", "DCCP in UDP")
dccp_udp.prefs.port = Pref.uint("UDP port", 6511, "The server's UDP port (RFC 6773: 6511)")

local not_zero = ProtoExpert.new(
    "dccp_udp.checksum_not_zero", "The DCCP checksum in UDP is not 0 (RFC 6773 section 3.3)",
    expert.group.PROTOCOL, expert.severity.NOTE)
dccp_udp.experts = { not_zero }

-- It has no name of its own.
local dccp = DissectorTable.get("ip.proto"):get_dissector(33)
local ip_source, ip_destination = Field.new("ip.src"), Field.new("ip.dst")
local ipv6_source, ipv6_destination = Field.new("ipv6.src"), Field.new("ipv6.dst")

-- The sum of the 16-bit words of a string, the last one padded with 0.
local function sum_of(text)
    local sum = 0
    for at = 1, #text - 1, 2 do
        local high, low = text:byte(at, at + 1)
        sum = sum + high * 256 + low
    end
    if #text % 2 == 1 then
        sum = sum + text:byte(#text) * 256
    end
    return sum
end

-- The bytes of the innermost of the addresses that a field has in a packet.
local function innermost(field)
    local all = { field() }
    local last = all[#all]
    if last == nil then
        return nil
    end
    return last.range:bytes():raw()
end

-- The checksum that the packet would have in IP (RFC 4340 section 9), as two bytes; nil if the
-- addresses are not known.
local function checksum(text)
    local source = innermost(ip_source) or innermost(ipv6_source)
    local destination = innermost(ip_destination) or innermost(ipv6_destination)
    if source == nil or destination == nil then
        return nil
    end
    local covered, coverage = #text, text:byte(6) % 16
    if coverage > 0 then
        covered = math.min(covered, (text:byte(5) + coverage - 1) * 4)
    end
    local sum = sum_of(source) + sum_of(destination) + 33 + #text + sum_of(text:sub(1, covered))
    while sum > 0xffff do
        sum = math.floor(sum / 0x10000) + sum % 0x10000
    end
    sum = 0xffff - sum
    return string.char(math.floor(sum / 256), sum % 256)
end

-- The packet with its checksum. In UDP it is sent as 0, for the UDP checksum covers everything; but
-- Wireshark's dissector would call that a bad one.
function dccp_udp.dissector(tvb, pinfo, tree)
    if tvb:len() < 12 then
        return 0
    end
    local item = tree:add(dccp_udp, tvb(0, 8), "DCCP in UDP (RFC 6773)")
    local text = tvb:raw()
    if tvb(6, 2):uint() ~= 0 then
        item:add_proto_expert_info(not_zero)
        return dccp:call(tvb, pinfo, tree)
    end
    local right = checksum(text)
    if right == nil then
        return dccp:call(tvb, pinfo, tree)
    end
    local filled = ByteArray.new(text:sub(1, 6) .. right .. text:sub(9), true)
    return dccp:call(filled:tvb("DCCP, checksum filled in"), pinfo, tree)
end

local udp_ports = DissectorTable.get("udp.port")
local port = dccp_udp.prefs.port
udp_ports:add(port, dccp_udp)

function dccp_udp.prefs_changed()
    if port ~= dccp_udp.prefs.port then
        udp_ports:remove(port, dccp_udp)
        port = dccp_udp.prefs.port
        udp_ports:add(port, dccp_udp)
    end
end
