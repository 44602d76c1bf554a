-- Exercises what Lua takes from the C library: formatting and reading numbers, sorting, strings, files, time, errors.
local out = {}
local function say(...)
  local words = table.pack(...)
  for i = 1, words.n do words[i] = tostring(words[i]) end
  out[#out + 1] = table.concat(words, " ")
end

-- numbers to text and back
for _, v in ipairs{0, 1, -1, 0.1, 1/3, 2^53, 2^63, 1e100, 1e-300, 5e-324, 123456.789, math.huge, -math.huge, math.pi} do
  local s = string.format("%.17g", v)
  say(s, string.format("%a %.3f %g %e %10.2f", v, v, v, v, v), tostring(tonumber(s) == v))
end
for i = -3, 3 do say(string.format("%d %5d %-5d| %05d %x %o %c", i, i, i, i, i & 0xff, i & 0xff, 65 + i + 3)) end
say(tostring(tonumber("0x1p4")), tostring(tonumber("  12e2  ")), tostring(tonumber("1e")), tostring(math.tointeger("8")))

-- mathematics, to 12 digits
for _, f in ipairs{"sin", "cos", "tan", "exp", "log", "sqrt", "asin", "acos", "atan", "floor", "ceil"} do
  local values = {}
  for _, x in ipairs{0.1, 0.5, 0.9} do values[#values + 1] = string.format("%.12g", math[f](x)) end
  say(f, table.concat(values, " "))
end
say(string.format("%.10g %.10g %d", math.fmod(7.5, 2), 2 ^ 0.5, 7 // 2))

-- a linear congruential generator, sorting and hashing of many values
local seed = 42
local function random() seed = (seed * 1103515245 + 12345) % 2147483648; return seed end
local list = {}
for i = 1, 20000 do list[i] = random() % 100000 end
table.sort(list)
local sum = 0
for i, v in ipairs(list) do sum = (sum * 31 + v) % 1000000007 end
say("sorted", sum, list[1], list[#list])

-- strings and patterns
local text = ("The quick brown fox jumps over the lazy dog. "):rep(200)
local count = {}
for word in text:gmatch("%a+") do count[word:lower()] = (count[word:lower()] or 0) + 1 end
local words = {}
for w, n in pairs(count) do words[#words + 1] = w .. "=" .. n end
table.sort(words)
say(table.concat(words, ","))
say(text:sub(1, 45):gsub("%w+", function(w) return w:reverse() end))
say(string.pack(">i4", 123456789):byte(1, -1), #string.rep("x", 100000), ("%q"):format("a\nb\0c\""))
say(utf8.char(228, 8364, 128512), utf8.len("äöü"), ("x"):rep(3, "-"))

-- coroutines, closures, errors
local function generate(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i * i) end end) end
local squares = {}
for s in generate(10) do squares[#squares + 1] = s end
say(table.concat(squares, " "))
say(pcall(error, {1}) and "yes" or "no", select(2, pcall(function() return nil + 1 end)))
say(select(2, pcall(string.rep, "x", 1 << 40)) ~= nil and "too long" or "?")
local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end
say(deep(10000), select(2, pcall(function() local function f() return 1 + f() end return f() end)):match("stack overflow") or "?")

-- garbage
for i = 1, 200 do local t = {} for j = 1, 200 do t[j] = {j, tostring(j)} end end
collectgarbage()
say(collectgarbage("count") < 20000 and "collected" or "grown")

-- files
local name = arg[1]
local f = assert(io.open(name, "w"))
for i = 1, 1000 do f:write(i, " ", i * i, "\n") end
f:close()
local n, total = 0, 0
for a, b in io.lines(name, "n", "n") do n, total = n + 1, total + b end
say(n, total)
f = io.open(name, "r+b")
f:seek("set", 100); local bytes = f:read(10); f:seek("end", -5)
say((bytes:gsub("\n", "/")), (f:read("a"):gsub("\n", "/")), f:seek())
f:close()
say(os.rename(name, name .. ".moved"), io.open(name) == nil, os.remove(name .. ".moved"))
say(select(2, io.open("/nonexistent/file")))
say(os.date("!%Y-%m-%d %H:%M:%S %a %b %j", 1700000000), os.time{year = 2024, month = 2, day = 29, hour = 12} ~= nil)
say(tostring(os.getenv("CONFORMANCE_NOT_SET")))
io.write(table.concat(out, "\n"), "\n")
os.exit(5)
