"""Debian's own programs, natively and under --root /: the same bytes on standard output and the same status.

A row is a script of bash: its name, the programs that it needs (skipped without them), the script. It runs in an empty directory, which
the program may write to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.paths import ROOT

TEXT = "/usr/share/common-licenses/GPL-3"


@dataclass(frozen=True)
class Row:
    name: str
    needs: str
    script: str


FAST = (
    Row("ls", "", "ls -ln --time-style=+%Y /usr/share/common-licenses | tr -s ' ' | cut -d' ' -f 1,2,5-"),
    Row(
        "bash",
        "",
        r"""for i in {1..5}; do echo $((i*i)); done | while read x; do echo "<$x>"; done
        declare -A m; m[a]=1; echo "${m[a]} ${BASH_VERSION%%.*}"; f() { local x=$1; echo ${x^^}; }; f abc; echo $(echo sub | rev)
        trap "echo bye" EXIT; (exit 3); echo $?; coproc cat; echo hello >&${COPROC[1]}; read l <&${COPROC[0]}; echo $l""",
    ),
    Row(
        "awk", "awk", "awk -F: '{n[$7]++} END{for(k in n) print k, n[k]}' /etc/passwd | sort; awk 'BEGIN{print sin(1)}'"
    ),
    Row(
        "sed",
        "",
        r"sed -n 's/\(.*\):.*/\1/p;3q' /etc/passwd; echo abc | sed 'y/ac/xz/'; cp /etc/shells s; sed -i 1d s; cat s",
    ),
)
SLOW = (
    Row(
        "coreutils",
        "",
        rf"""sha256sum /bin/ls; date -u -d @0; wc -l /etc/passwd; od -c /etc/shells; stat -c %s /bin/ls; factor 123456789
        numfmt --to=iec 123456; seq 3 | paste -s; tac /etc/shells; fold -w 10 /etc/shells; join /etc/shells /etc/shells; base64 {TEXT}
        uniq -c /etc/shells; cksum /etc/shells; readlink -f /bin/sh; seq 500 | sort -R --random-source=/dev/zero | sort -n""",
    ),
    Row(
        "files",
        "",
        """mkdir -p a/b; touch -d @1000 a/b/c; mv a/b/c a/d; ln -s d a/e; ln a/d a/f; ls -lR --time-style=+ a | cut -c1-12
        rm -r a; dd if=/dev/zero of=z bs=1k count=3 status=none; split -b 1000 z; ls; chmod 600 z; stat -c '%a %s' z; truncate -s 10 z
        tee q < z | wc -c; install -m 755 z y; ls -l --time-style=+ y | cut -c1-12; cp -a /etc/skel s; find s | sort""",
    ),
    Row("sort", "", f"tr -s ' ' '\\n' < {TEXT} | sort | uniq -c | sort -rn | head -20; sort -S1M -T. {TEXT} | md5sum"),
    Row(
        "dash",
        "dash",
        r"""dash -c 'x=1; while [ $x -lt 4 ]; do echo $x; x=$((x+1)); done; set -- a b c; echo $#; case abc in a*) echo yes;; esac
        (echo in sub; exit 2) ; echo $?; sleep 0 & wait; echo done; kill -0 $$ && echo alive'; yes | head -2; echo ${PIPESTATUS[*]}""",
    ),
    Row(
        "perl",
        "perl",
        r"""perl -e 'use List::Util qw(sum); use Data::Dumper; use POSIX; my %h=(a=>1,b=>[1,2,{c=>3}]); $Data::Dumper::Sortkeys=1;
        print Dumper(\%h); print sum(1..100),"\n"; $_="hello world"; s/(\w+)/\u$1/g; print "$_\n"; printf "%s\n", strftime("%Y",gmtime(0));
        print `echo sub`; open my $f,"<","/etc/shells"; print scalar(<$f>); printf "%.10f\n",atan2(1,1)*4; exit 3'""",
    ),
    Row(
        "python3",
        "python3",
        r"""python3 -c 'import json, re, hashlib, zlib, sqlite3, subprocess, decimal, datetime, ctypes, struct, math
print(json.dumps({"a": [1, 2]}), hashlib.sha256(b"x").hexdigest(), zlib.crc32(b"abc"))
print(sqlite3.connect(":memory:").execute("select 1+1").fetchall(), subprocess.run(["echo", "x"], capture_output=True).stdout)
print(decimal.Decimal(1) / 7, math.factorial(50), math.sin(1), sorted("hello"), re.sub("l+", "L", "hello"))
print(ctypes.CDLL(None).abs(-5))
raise SystemExit(9)'""",
    ),
    Row(
        "git",
        "git",
        """git init -q r; cd r; git config user.email a@b; git config user.name n; echo x > f; git add f; git commit -q -m one
        echo y >> f; git commit -q -am two; git log --format=%s; git diff HEAD~1; git status --short; git fsck; git checkout -q -b b
        git blame f | wc -l; git archive HEAD | tar t; git gc -q; git show HEAD:f; git clone -q . ../c; cat ../c/f""",
    ),
    Row(
        "tar-xz",
        "tar xz",
        """tar -cJf l.tar.xz -C /usr/share/common-licenses . ; tar -tJf l.tar.xz | sort | head -5; mkdir o; tar -xJf l.tar.xz -C o
        diff -r o /usr/share/common-licenses && echo same""",
    ),
    Row(
        "gzip",
        "gzip bzip2 xz",
        f"""gzip -c {TEXT} > g.gz; zcat g.gz | cksum; gzip -t g.gz; bzip2 -c {TEXT} | bunzip2 | cksum
        xz -T1 -c {TEXT} | xz -dc | cksum; gzip -nc {TEXT} | cksum""",
    ),
    Row(
        "openssl",
        "openssl",
        f"""openssl dgst -sha256 {TEXT}; openssl prime 97; openssl version
        echo secret | openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 0011 2>/dev/null | openssl base64""",
    ),
    Row(
        "gcc",
        "gcc",
        r"""printf '#include <stdio.h>\n#include <math.h>\nint main(int c,char**v){printf("%%f\\n",sqrt(c));return 5;}\n' > h.c
        gcc -O2 -o h h.c -lm; ./h; echo $?; cksum h""",
    ),
    Row(
        "g++",
        "g++",
        r"""printf '#include <string>\n#include <stdexcept>\n#include <cstdio>\nint main(){try{throw std::runtime_error("x");}
        catch(std::exception&e){std::puts(e.what());}}\n' > h.cc; g++ -o hh h.cc && ./hh""",
    ),
    Row(
        "sqlite3",
        "sqlite3",
        r"""sqlite3 db "create table t(a,b); insert into t values(1,'x'),(2,'y'); select sum(a),group_concat(b) from t;
        create index i on t(a); explain query plan select * from t where a=1; pragma integrity_check;"; sqlite3 db .dump""",
    ),
    Row(
        "vim",
        "vim",
        r"""printf 'one\ntwo\n' > v.txt; vim -es -u NONE -c '%s/o/0/g' -c 'normal Gothree' -c wq v.txt; cat v.txt""",
    ),
    Row(
        "make",
        "make",
        r"""printf 'all: a b\n\t@echo done $(shell echo sub)\na:\n\techo A > a\nb: a\n\tcat a a > b\n' > Makefile
        make -j2; make; cat b; make nosuch; echo $?""",
    ),
    Row(
        "grep",
        "",
        f"grep -n GNU {TEXT} | head -3; grep -c . /etc/passwd; grep -P '\\d+' -o /etc/passwd; grep -Ei '(a|b)+' {TEXT} | cksum",
    ),
    Row(
        "find-xargs",
        "find xargs",
        """find /usr/share/common-licenses -type f -size +1k -printf '%f %s\\n' | sort; find /etc/skel -name '.*rc' -exec wc -l {} +
        find /usr/share/common-licenses -type f -print0 | sort -z | xargs -0 -n2 -P2 echo | sort | cksum""",
    ),
    Row(
        "diff-patch",
        "diff patch",
        """seq 10 > a; seq 10 | sed 's/5/five/' > b; diff -u --label a --label b a b > p; cat p; patch a p; cmp a b; diff3 a b a; echo $?""",
    ),
    Row("bc", "bc", "echo 'scale=30; 4*a(1); 2^100; obase=16; 255' | bc -l"),
    Row("file", "file", f"file /bin/ls /etc/passwd {TEXT} /etc | cut -c1-60; file -bi /bin/sh /usr/bin/python3"),
    Row(
        "binutils",
        "readelf objdump nm ar",
        """readelf -hlW /bin/ls; readelf -d /bin/cat; objdump -d /bin/true --start-address=0x2000 | tail -n +3 | head -20; size /bin/ls
        nm -D /bin/ls | head -3; c++filt _Z3fooi; strings /bin/true | head -3""",
    ),
    Row(
        "gdb",
        "gdb",
        "gdb --version | head -1; gdb -batch -nx -ex 'p 1+1' -ex 'ptype int' /bin/true 2>/dev/null | tail -2",
    ),
    Row(
        "util-linux",
        "hexdump column",
        """getopt -o ab: -- -a -b x y; hexdump -C /etc/shells | head -3; column -t -s: /etc/passwd | head -2; rev /etc/shells | head -1
        flock -n l echo locked; setsid -w echo x; more /etc/shells | cat""",
    ),
    Row(
        "ssh-keygen", "ssh-keygen", "ssh-keygen -t ed25519 -N '' -f k -q && ls k k.pub; ssh-keygen -y -f k | cut -c1-11"
    ),
    Row(
        "libc-bin",
        "getent",
        "iconv -f latin1 -t utf16 /etc/shells | cksum; getconf PAGE_SIZE; getent passwd root; getent hosts localhost",
    ),
    Row(
        "dpkg",
        "dpkg-query",
        "dpkg-query -W -f='${Version}\\n' bash; dpkg -S /bin/bash; dpkg --compare-versions 1.0 lt 1.1; echo $?",
    ),
    Row("ncurses", "tput infocmp", "tput -T xterm cols; infocmp -1 xterm | head -3; clear -T xterm | od -c | head -1"),
    Row(
        "tmux",
        "tmux",
        """tmux -S ./s -f /dev/null new-session -d -x 40 -y 5 cat; tmux -S ./s send-keys hello Enter; sleep 1
        tmux -S ./s capture-pane -p; tmux -S ./s kill-server; echo $?""",
    ),
    Row(
        "python3-threads",
        "python3",
        r"""python3 -c 'import threading, queue, concurrent.futures, multiprocessing
q, found = queue.Queue(), []
def work():
    while (x := q.get()) is not None: found.append(x * x)
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [q.put(n) for n in range(200)]; [q.put(None) for _ in threads]; [t.join() for t in threads]
print(sum(found), sorted(concurrent.futures.ThreadPoolExecutor(3).map(abs, range(-9, 0))))
with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(abs, [-1, -2, -3]))'""",
    ),
    Row(
        "python3-asyncio",
        "python3",
        r"""python3 -c 'import asyncio
async def answer(r, w): w.write((await r.readline()).upper()); await w.drain(); w.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    r, w = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    w.write(b"hello\n"); print(await r.read()); server.close()
    other = await asyncio.create_subprocess_exec("echo", "x", stdout=-1); print(await other.communicate())
asyncio.run(main())'""",
    ),
    Row(
        "perl-threads",
        "perl",
        r"""perl -e 'use threads; my @t = map { my $n = $_; threads->create(sub { $n * $n }) } 1..4; print join(" ", map { $_->join } @t), "\n";
        pipe(R, W); if (!fork) { print W "child\n"; exit 3 } close W; print scalar <R>; wait; print $? >> 8, "\n";
        local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; sleep 3'""",
    ),
    Row(
        "process-substitution",
        "diff",
        r"""diff <(seq 3) <(seq 2 4); paste <(echo a) <(echo b); exec 3<>f; echo x >&3; wc -c f; printf "%(%Y)T\n" 0
        mapfile -t a < /etc/shells; echo ${#a[@]}; mkfifo p; (echo through > p &); cat p; timeout 1 sleep 5; echo $?""",
    ),
    Row(
        "assembler",
        "as ld strip objcopy od",
        r"""printf '.globl _start\n_start: mov $60,%%eax\n mov $5,%%edi\n syscall\n' > a.s; as a.s -o a.o; ld a.o -o a; ./a; echo $?
        strip a; objcopy -O binary a b; od -An -tx1 b""",
    ),
    Row("jq", "jq", """echo '[1,{"a":2.5}]' | jq -c 'map(type)'; echo '{"b":[1,2]}' | jq '.b|add'"""),
    Row("zstd", "zstd", f"zstd -q -c {TEXT} | zstd -dc | cksum; zstd -q -T2 -c /bin/ls | cksum"),
    Row(
        "node",
        "node",
        'node -e \'console.log([1,2].map(x => x*2), require("crypto").createHash("md5").update("x").digest("hex"))\'',
    ),
    Row(
        "cmake",
        "cmake make gcc",
        r"""printf 'cmake_minimum_required(VERSION 3.10)\nproject(p C)\nadd_executable(p p.c)\n' > CMakeLists.txt
        echo 'int main(void){return 3;}' > p.c; cmake -S . -B b >/dev/null; cmake --build b >/dev/null; ./b/p; echo $?""",
    ),
    Row("zip", "zip unzip", "cp /etc/shells p; zip -qX a.zip p; unzip -p a.zip | cksum; unzip -tq a.zip"),
    Row("curl", "curl", "curl -s file:///etc/shells | head -2; curl -sS http://localhost:1; echo $?"),
    Row(
        "clang",
        "clang gcc",
        "export TMPDIR=.; echo 'int main(void){return 7;}' > c.c; clang -O2 -c c.c; gcc -o c c.o; ./c; echo $?",
    ),
    Row(
        "python3-threads",
        "/usr/bin/python3",
        r"""/usr/bin/python3 -c 'import asyncio, concurrent.futures, multiprocessing, queue, threading
def square(x): return x * x
async def wait(n): await asyncio.sleep(n / 1000); return n
async def main():
    print(await asyncio.gather(*map(wait, range(5))))
    done = await asyncio.create_subprocess_exec("echo", "x", stdout=-1)
    print(await done.communicate())
print(sum(concurrent.futures.ThreadPoolExecutor(8).map(square, range(1000))))
q = queue.Queue(); all = [threading.Thread(target=q.put, args=[1]) for _ in range(20)]
for one in all: one.start()
for one in all: one.join()
print(q.qsize()); asyncio.run(main())
with multiprocessing.Pool(3) as pool: print(pool.map(square, range(10)))'""",
    ),
    Row(
        "python3-sockets",
        "/usr/bin/python3",
        r"""/usr/bin/python3 -c 'import http.server, socket, threading, urllib.request
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
answer = urllib.request.urlopen("http://127.0.0.1:%d/" % server.server_port); print(answer.status, len(answer.read())); server.shutdown()
print(socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM), socket.gethostbyname("localhost"))'""",
    ),
    Row(
        "node",
        "node",
        r"""node -e 'const {Worker} = require("worker_threads"), http = require("http"), zlib = require("zlib")
        console.log([1, 2].map(x => x * x), new Map([[1, 2]]), BigInt(2) ** 64n, /(\d+)/.exec("a12")[1])
        console.log(require("crypto").createHash("sha256").update("x").digest("hex"))
        console.log(zlib.gunzipSync(zlib.gzipSync(Buffer.alloc(1e5, "abc"))).length)
        const add = text => require("fs").appendFileSync("log", text + "\n")
        for (let i = 0; i < 3; i++) new Worker("const w = require(\"worker_threads\"); w.parentPort.postMessage(w.workerData * 2)",
            {eval: true, workerData: i}).on("message", add)
        require("child_process").exec("echo sub", (error, out) => add(out.trim()))
        const server = http.createServer((q, r) => r.end("hello " + q.url)).listen(0, "127.0.0.1", () =>
            http.get({port: server.address().port, path: "/x"}, r => { r.on("data", add); r.on("end", () => server.close()) }))'; sort log""",
    ),
    Row(
        "java",
        "java javac",
        r"""echo 'import java.util.*; import java.util.concurrent.*; import java.util.stream.*;
        public class W { public static void main(String[] a) throws Exception {
            var pool = Executors.newFixedThreadPool(3); var all = new ArrayList<Future<Integer>>();
            for (int i = 0; i < 6; i++) { int n = i + 1;
                all.add(pool.submit(() -> { int s = 0; for (int k = 0; k < 100000; k++) s += k % n; return s; })); }
            for (var one : all) System.out.println(one.get());
            pool.shutdown(); System.out.println(IntStream.range(0, 1000).parallel().sum()); System.gc();
            try { Object o = null; o.toString(); } catch (NullPointerException e) { System.out.println("null"); }
        } }' > W.java; javac W.java && java W""",
    ),
)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[bytes, int]:
    folder.mkdir()
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False
    )
    return done.stdout.replace(os.fsencode(folder), b"HERE"), done.returncode


def compare(row: Row, folder: Path) -> None:
    for name in ("bash", *row.needs.split()):
        if shutil.which(name) is None:
            pytest.skip(f"needs {name}")
    words = ["/bin/bash", "-c", row.script]
    emulator = [sys.executable, "-m", "uselib.cli", "run", "--root", "/", "--writable", str(folder / "emulated")]
    guest = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "LANG": "C"}
    native = run(words, folder / "native", guest)
    emulated = run([*emulator, *words], folder / "emulated", os.environ | {"PYTHONPATH": str(ROOT)})
    assert emulated == native


@pytest.mark.parametrize("row", FAST, ids=lambda row: row.name)
def test_same_natively_and_emulated(row: Row, tmp_path: Path) -> None:
    compare(row, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("row", SLOW, ids=lambda row: row.name)
def test_more_programs(row: Row, tmp_path: Path) -> None:
    compare(row, tmp_path)
