"""Programs that run to their end, as a table: what they read, what is run, what they leave behind.

Used by watch_program.py. Each command is split as a shell would and runs in a folder of its own. Its status, what it prints
and the files that it leaves must be the same natively and watched.
"""
import collections
import hashlib
import math
import os
import random
import shlex
import shutil
import struct
import wave

# needs: programs, or files with a slash; the first is what is tested. reads: {file: how it is made}. runs: commands.
# leaves: files and folders. threads: how many its runs have at least, 1: what is tested is one thread's code. prints: what
# it prints is compared. before: commands that are never watched. alone: not by the rewriter without an engine.
Row = collections.namedtuple("Row", "needs reads runs leaves threads prints environment before alone", defaults=((), 2, True, {}, (), False))

TEXT_BYTES = 6000000


# ---- what they read: each (path, scale) ----

def words(seed):
    rng = random.Random(seed)
    some = [bytes(rng.choices(b"etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(5000)]
    while True:
        yield b" ".join(rng.choices(some, k=20)) + b"\n"


def text(path, scale):
    with open(path, "wb") as f:
        for line in words(4711):
            f.write(line)
            if f.tell() >= TEXT_BYTES * scale:
                break
    os.utime(path, (10**9, 10**9))


def tree(path, scale):
    """Folders of small files."""
    lines = words(42)
    for i in range(int(200 * scale) + 10):
        folder = os.path.join(path, f"d{i % 7}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"f{i}.c"), "wb") as f:
            for k in range(i % 40 + 1):
                f.write(b"/* " + next(lines)[:-1] + b" */\nint f%d_%d(int a) { return a * %d; }\n" % (i, k, i))
        os.utime(f.name, (10**9, 10**9))


def pixels(width, height, seed):
    return bytes((x * 3 + y * seed + (x * y >> 5)) & 255 for y in range(height) for x in range(width))


def image(path, scale):
    side = max(int(640 * math.sqrt(scale)), 64) & ~1
    planes = [pixels(side, side, k) for k in (1, 5, 9)]
    with open(path, "wb") as f:
        f.write(b"P6\n%d %d\n255\n" % (side, side) + bytes(v for p in zip(*planes) for v in p))


def video(path, scale):
    width, height, frames = 320, 192, max(int(60 * scale), 8)
    with open(path, "wb") as f:
        f.write(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420\n" % (width, height))
        for k in range(frames):
            f.write(b"FRAME\n" + pixels(width, height, k + 1) + bytes([128 + k % 50]) * (width * height // 2))


def sound(path, scale):
    rate = 44100
    with wave.open(path, "wb") as f:
        f.setnchannels(2)
        f.setsampwidth(2)
        f.setframerate(rate)
        n = int(rate * 8 * scale) + rate
        f.writeframes(b"".join(struct.pack("<hh", int(9000 * math.sin(i / 20)), (i * 7919) % 12000 - 6000) for i in range(n)))


def page(path, _scale):
    lines = words(7)
    with open(path, "wb") as f:
        f.write(b"%!PS\n/Times-Roman findfont 12 scalefont setfont\n")
        for n in range(4):
            for i in range(50):
                f.write(b"40 %d moveto (%s) show\n" % (760 - 14 * i, next(lines)[:90].strip()))
            f.write(b"newpath 300 300 %d 0 360 arc 0.%d setgray fill showpage\n" % (100 + 20 * n, n + 2))


def graph(path, scale):
    with open(path, "w") as f:
        f.write("digraph g {\n" + "".join(f"n{i} -> n{i * 7919 % 61};\n" for i in range(int(100 * scale) + 20)) + "}\n")


def objects(path, scale):
    """C sources with calls between them, as an assembler source for a linker to work on."""
    with open(path, "w") as f:
        f.write(".globl _start\n_start: ret\n")
        for i in range(int(20000 * scale) + 500):
            f.write(f".section .text.f{i},\"ax\",@progbits\n.globl f{i}\nf{i}: call f{max(i - 1, 0)}\n .quad f{i // 2}\n")


def script(content):
    def write(path, _scale):
        with open(path, "w") as f:
            f.write(content)
    return write


# ---- scripts ----

NODE = """
const zlib = require('zlib'), crypto = require('crypto'), fs = require('fs'), { Worker, isMainThread, parentPort } = require('worker_threads');
if (!isMainThread) { parentPort.on('message', n => { let s = 0; for (let i = 0; i < n; i++) s += i % 7; parentPort.postMessage(s); parentPort.close(); }); }
else {
  const out = {}, text = fs.readFileSync('text');
  let open = 0;
  const done = (name, value) => { out[name] = value; if (!--open) console.log(JSON.stringify(Object.fromEntries(Object.entries(out).sort()))); };
  for (let i = 0; i < 4; i++) { open++; zlib.deflate(text.subarray(0, 300000 + i), (e, b) => done('z' + i, b.length)); }
  for (let i = 0; i < 4; i++) { open++; crypto.pbkdf2('secret' + i, 'salt', 2000, 32, 'sha256', (e, k) => done('k' + i, k.toString('hex'))); }
  for (let i = 0; i < 2; i++) { open++; const w = new Worker(__filename); w.on('message', v => done('w' + i, v)); w.postMessage(100000 * (i + 1)); }
}
"""
RUBY = """
require 'digest'; require 'zlib'; require 'json'
q = Queue.new; m = Mutex.new; sum = 0
ts = 4.times.map { |k| Thread.new { while (x = q.pop) != :end; m.synchronize { sum += x }; end; Digest::SHA256.hexdigest('x' * 100000 * (k + 1)) } }
5000.times { |i| q << i }; 4.times { q << :end }
puts ts.map(&:value), sum, Zlib::Deflate.deflate('abc' * 10000).size, JSON.generate({a: [1, 2, nil]})
begin; raise 'boom'; rescue => e; puts e.message; end
puts Ractor.respond_to?(:new), (1..200).inject(:*).to_s.size
"""
PERL = """
use threads; use threads::shared; use Thread::Queue;
my $q = Thread::Queue->new; my $sum :shared = 0;
my @t = map { my $n = $_; threads->create(sub { while (defined(my $x = $q->dequeue)) { lock $sum; $sum += $x } my %h; $h{$_ % 97} .= $_ for 1..1000 * $n; length join ",", map { "$_$h{$_}" } sort keys %h }) } 1..3;
$q->enqueue($_) for 1..2000; $q->end;
print join(",", map { $_->join } @t), " $sum\\n"; eval { die "x\\n" }; print $@;
"""
PHP = """<?php
$a = []; for ($i = 0; $i < 20000; $i++) { $a[md5((string)$i)] = $i * 3; } ksort($a);
echo count($a), ' ', array_sum($a), ' ', sha1(json_encode($a)), "\\n";
try { throw new Exception('boom'); } catch (Exception $e) { echo $e->getMessage(), "\\n"; }
function fib($n) { return $n < 2 ? $n : fib($n - 1) + fib($n - 2); } echo fib(20), ' ', preg_replace('/a+/', 'b', 'caaat'), "\\n";
"""
LUA = """
local t = {} for i = 1, 20000 do t[i] = (i * 7919) % 10007 end table.sort(t)
local s = 0 for i, v in ipairs(t) do s = (s * 31 + v) % 1000000007 end print(s, #t, string.rep('ab', 10):gsub('a', 'c'))
print(pcall(error, 'boom')) local c = coroutine.wrap(function() for i = 1, 5 do coroutine.yield(i) end end) print(c(), c(), c())
"""
GUILE = """
(use-modules (ice-9 threads))
(display (apply + (par-map (lambda (n) (let loop ((i 0) (s 0)) (if (= i n) s (loop (+ i 1) (+ s (modulo i 7)))))) (iota 8 2000 100)))) (newline)
(define m (make-mutex)) (define sum 0)
(define ts (map (lambda (k) (call-with-new-thread (lambda () (do ((i 0 (+ i 1))) ((= i 200)) (with-mutex m (set! sum (+ sum k))))))) (iota 4)))
(for-each join-thread ts) (display sum) (newline)
"""
SQL = """create table t(id integer primary key, k text, v real);
with recursive c(i) as (select 1 union all select i+1 from c where i < 20000) insert into t select i, hex(i * 7919), i * 0.5 from c;
create index ti on t(k); pragma threads=2;
select count(*), sum(v), min(k), max(k) from t; select k, v from t order by substr(k, 3), v limit 5;
update t set v = v + 1 where id % 3 = 0; select k, sum(v) from t group by substr(k, 1, 2) order by 1 limit 20;
delete from t where id % 2; vacuum; pragma integrity_check; select count(*) from t;
"""
JAVA = """
import java.util.*; import java.util.concurrent.*;
public class Main { public static void main(String[] a) throws Exception {
 ExecutorService p = Executors.newFixedThreadPool(4); List<Future<Long>> f = new ArrayList<>();
 for (int k = 0; k < 8; k++) { final int n = k; f.add(p.submit(() -> { long s = 0; for (int i = 0; i < 10000 * n; i++) s += i % 7; return s; })); }
 long t = 0; for (Future<Long> x : f) t += x.get(); p.shutdown(); System.out.println(t); } }
"""
BASH = 'for i in {1..300}; do a[$i]=$((i*i)); done; echo ${a[@]} | md5sum; trap "echo got" USR1; kill -USR1 $$; f() { echo $(( $1 + 1 )); }; f 3; (exit 3) || echo $?'
AWK = '{ for (i = 1; i <= NF; i++) n[$i]++ } END { m = asorti(n, k); for (i = 1; i <= m; i++) print k[i], n[k[i]] }'
CMAKE = "cmake_minimum_required(VERSION 3.18)\nproject(p C)\nfile(GLOB s CONFIGURE_DEPENDS tree/*/*.c)\nadd_library(p STATIC ${s})\n"
MAKE = "s := $(wildcard tree/*/*.c)\nall: $(s:.c=.sum)\n\t@cat $^ | sort\n%.sum: %.c\n\t@md5sum < $< > $@\n"
GIMP = ('(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "image" "image"))) (layer (car (gimp-image-get-active-layer image))))'
        ' (plug-in-gauss RUN-NONINTERACTIVE image layer 9 9 0) (gimp-image-scale image 300 300)'
        ' (file-ppm-save RUN-NONINTERACTIVE image (car (gimp-image-get-active-layer image)) "out.ppm" "out.ppm" 1) (gimp-quit 0))')
GIMP_ENVIRONMENT = {"GIMP2_DIRECTORY": "gimp", "HOME": ".", "GEGL_THREADS": "2"}

TXT = {"text": text}
TABLE = {
    # compressors
    "pigz-pack": Row(["pigz"], TXT, ["pigz -p3 -n -k text", "pigz -d -c -p2 text.gz"], ["text.gz"]),
    "pbzip2": Row(["pbzip2"], TXT, ["pbzip2 -p2 -b2 -k text", "pbzip2 -d -c -p2 text.bz2"], ["text.bz2"]),
    "lbzip2": Row(["lbzip2"], TXT, ["lbzip2 -n 2 -k text", "lbzip2 -d -c -n 2 text.bz2"], ["text.bz2"]),
    "plzip": Row(["plzip"], TXT, ["plzip -n 2 -1 -B 1MiB -k text", "plzip -d -c -n 2 text.lz"], ["text.lz"]),
    "xz-pack": Row(["xz"], TXT, ["xz -T2 -1 --block-size=1MiB -k text", "xz -T2 -d -c text.xz"], ["text.xz"]),
    "zstd": Row(["zstd"], TXT, ["zstd -q -T2 -6 -B1M text", "zstd -q -d -c text.zst"], ["text.zst"]),
    "pixz": Row(["pixz"], TXT, ["pixz -p 2 -1 text text.pxz", "pixz -d -p 2 text.pxz out"], ["text.pxz", "out"]),
    "lrzip": Row(["lrzip"], TXT, ["lrzip -q -p 2 -L 1 -o text.lrz text", "lrzip -q -d -p 2 -o out text.lrz"], ["out"], prints=False),
    "7z": Row(["7z"], TXT, ["7z a -bd -bso0 -mmt=2 -mx=5 -mtm=off -mtc=off -mta=off out.7z text", "7z t -bd -mmt=2 -bso0 out.7z"], ["out.7z"]),
    "lz4": Row(["lz4"], TXT, ["lz4 -q -9 text out.lz4", "lz4 -q -d -c out.lz4"], ["out.lz4"], 1),
    "brotli": Row(["brotli"], TXT, ["brotli -q 5 -k -o out.br text", "brotli -d -c out.br"], ["out.br"], 1),
    "bzip2": Row(["bzip2"], TXT, ["bzip2 -k text"], ["text.bz2"], 1),
    "par2": Row(["par2"], TXT, ["par2 create -q -q -t2 -s65536 -c8 set.par2 text", "par2 verify -q -q -t2 set.par2"], ["set.vol0+1.par2"]),
    # pictures, sound, pages
    "x264": Row(["x264"], {"v.y4m": video}, ["x264 --quiet --threads 2 --preset fast -o out.264 v.y4m"], ["out.264"], prints=False),
    "x265": Row(["x265"], {"v.y4m": video}, ["x265 --log-level none --pools 2 --frame-threads 2 --preset fast -o out.265 v.y4m"], ["out.265"], prints=False),
    "ffmpeg": Row(["ffmpeg"], {"v.y4m": video, "s.wav": sound},
                  ["ffmpeg -v error -y -threads 2 -i v.y4m -i s.wav -flags +bitexact -fflags +bitexact -c:v mpeg4 -threads 2 -c:a mp2 -f avi out.avi",
                   "ffmpeg -v error -threads 2 -i out.avi -vf scale=200:120 -f framemd5 -"], ["out.avi"]),
    "imagemagick": Row(["convert-im6.q16"], {"i.ppm": image}, ["convert-im6.q16 i.ppm -blur 0x3 -resize 70% -rotate 7 -depth 8 out.ppm"], ["out.ppm"]),
    "gimp": Row(["gimp-console-2.10"], {"i.ppm": image}, [], ["out.ppm"]),
    "webp": Row(["cwebp"], {"i.ppm": image}, ["cwebp -quiet -mt -m 4 i.ppm -o out.webp", "dwebp -quiet -mt out.webp -ppm -o out.ppm"], ["out.webp", "out.ppm"]),
    "vips": Row(["vips"], {"i.ppm": image}, ["vips gaussblur i.ppm out.png[strip] 3 --vips-concurrency=2"], ["out.png"]),
    "flac": Row(["flac"], {"s.wav": sound}, ["flac -s -8 s.wav -o out.flac", "flac -s -d -c out.flac"], ["out.flac"], 1),
    "ghostscript": Row(["gs"], {"p.ps": page}, ["gs -q -dSAFER -dBATCH -dNOPAUSE -dNumRenderingThreads=2 -sDEVICE=ppmraw -r60 -dBandHeight=100 -dMaxBitmap=10000 -sOutputFile=out%d.ppm p.ps"],
                       ["out1.ppm", "out4.ppm"]),
    "graphviz": Row(["dot"], {"g.dot": graph}, ["dot -Tplain g.dot"], [], 1),
    # languages
    "node": Row(["node"], {**TXT, "main.js": script(NODE)}, ["node main.js"]),
    "ruby": Row(["ruby"], {"main.rb": script(RUBY)}, ["ruby main.rb"]),
    "perl-threads": Row(["/usr/bin/perl"], {"main.pl": script(PERL)}, ["/usr/bin/perl main.pl"]),
    "php": Row(["php"], {"main.php": script(PHP)}, ["php main.php"], [], 1),
    "lua": Row(["lua5.4"], {"main.lua": script(LUA)}, ["lua5.4 main.lua"], [], 1),
    "guile": Row(["guile"], {"main.scm": script(GUILE)}, ["guile --no-auto-compile main.scm"]),
    "java": Row(["java"], {"Main.java": script(JAVA)}, ["java Main.java"]),
    "bash": Row(["bash"], {}, ["bash -c " + shlex.quote(BASH)], [], 1),
    "gawk": Row(["gawk"], TXT, ["gawk " + shlex.quote(AWK) + " text"], [], 1),
    # tools
    "git": Row(["git"], {"tree": tree},
               ["git init -q -b main tree", "git -C tree add .", "git -C tree -c grep.threads=4 grep -c etao", "git -C tree write-tree", "git -C tree repack -q -a -d --threads=2",
                "git -C tree fsck --no-progress"], []),
    "rsync": Row(["rsync"], {"tree": tree}, ["rsync -a tree/ copy/", "rsync -a --checksum --itemize-changes tree/ copy/"], ["copy"], 1),
    "tar": Row(["tar"], {"tree": tree}, ["tar --sort=name --mtime=@0 --owner=0 --group=0 -cf out.tar tree", "tar -tf out.tar"], ["out.tar"], 1),
    "sort": Row(["sort"], TXT, ["sort --parallel=3 -S 20M text"], []),
    "ripgrep": Row(["rg"], {"tree": tree}, ["rg -j3 --sort path etao tree", "rg -j3 -c --sort path ret.rn tree"]),
    "openssl": Row(["openssl"], TXT, ["openssl dgst -sha256 -sha512 text", "openssl enc -aes-256-ctr -K 00 -iv 00 -in text -out out.enc"], ["out.enc"], 1),
    "curl": Row(["curl"], TXT, ["curl -s file://{folder}/text", "curl -s -S http://nowhere.invalid/"], []),
    "gnupg": Row(["gpg"], TXT, ["gpg --homedir . --batch -q --print-md SHA512 text"], [], 1),
    "sqlite-shell": Row(["sqlite3"], {"s.sql": script(SQL)}, ["sqlite3 db '.read s.sql'"], []),
    "jq": Row(["jq"], {}, ["jq -n -c '[range(2000)] | map(. * 3) | group_by(. % 7) | map(add)'"], [], 1),
    "bc": Row(["bc"], {"s.bc": script("scale=300; 4*a(1); 2^500; sqrt(2)\n")}, ["bc -lq s.bc"], [], 1),
    "make": Row(["make"], {"tree": tree, "Makefile": script(MAKE)}, ["make -s -j2"], [], 1),
    "cmake": Row(["cmake"], {"tree": tree, "CMakeLists.txt": script(CMAKE)}, ["cmake -G Ninja -S . -B b --log-level=ERROR", "cmake --build b -- -j2 --quiet"], [], 1),
    "gdb": Row(["gdb"], {}, ["gdb -nx -q -batch -ex 'print 6 * 7' -ex 'info functions ^ex' /usr/bin/true"], []),
    "gcc": Row(["gcc"], {"tree": tree}, ["gcc -O2 -c tree/d0/f0.c -o out.o"], ["out.o"], 1),
    "clang": Row(["clang"], {"tree": tree}, ["clang -O2 -c tree/d0/f7.c -o out.o"], ["out.o"], 1),
    "lld": Row(["ld.lld"], {"o.s": objects}, ["as o.s -o o.o", "ld.lld --threads=2 --build-id=sha1 o.o -o out"], ["out"]),
    "gold": Row(["ld.gold"], {"o.s": objects}, ["as o.s -o o.o", "ld.gold --threads --thread-count 3 --build-id=sha1 o.o -o out"], ["out"]),
    "stress-ng": Row(["stress-ng"], {}, ["stress-ng -q --pthread 1 --pthread-ops 20 --mutex 1 --mutex-ops 2000 --cpu 1 --cpu-ops 5"], []),
    "sysbench": Row(["sysbench"], {}, ["sysbench --threads=3 --events=200 --time=0 --verbosity=0 threads run", "sysbench --threads=2 --events=200 --time=0 --verbosity=0 cpu run"]),
}
TABLE["gimp"].runs.append("gimp-console-2.10 -n -d -f --batch-interpreter plug-in-script-fu-eval -b " + shlex.quote(GIMP.replace('"image"', '"i.ppm"')))
TABLE["gimp"] = TABLE["gimp"]._replace(environment=GIMP_ENVIRONMENT, before=["gimp-console-2.10 -n -i -d -f -b '(gimp-quit 0)'"], alone=True)
# Part of the default tests, small; all others run under the label slow.
CORE = ("pigz-pack", "pbzip2", "lbzip2", "plzip", "xz-pack", "zstd", "7z", "perl-threads", "ruby", "sqlite-shell", "sort", "bash", "git")


# ---- one row as a workload of watch_program.py ----

def digest_of(path):
    """Of a file, or of all in a folder."""
    if not os.path.exists(path):
        return None
    h = hashlib.sha256()
    files = [path] if os.path.isfile(path) else sorted(os.path.join(at, n) for at, _, names in os.walk(path) for n in names)
    for name in files:
        h.update(os.path.relpath(name, path).encode())
        with open(name, "rb") as f:
            h.update(f.read())
    return h.hexdigest()


def missing(row):
    return [p for p in row.needs if not (os.path.exists(p) if "/" in p else shutil.which(p))]


def run(w, row):
    """w: a Watch. What must be the same."""
    for name, make in row.reads.items():
        make(w.path(name), w.opts.scale)
    ends = []
    for command in row.before:
        w.run(*shlex.split(command), plain=True, timed=False, env={**os.environ, **row.environment})
    for command in row.runs:
        status, out = w.run(*(a.replace("{folder}", w.folder) for a in shlex.split(command)), env={**os.environ, **row.environment})
        argv = shlex.split(command)
        ends.append((argv[0], status, out if len(out) < 500 else hashlib.sha256(out).hexdigest()) if row.prints else (argv[0], status))
    return ends, {name: digest_of(w.path(name)) for name in row.leaves}


if __name__ == "__main__":  # for CMake
    print(";".join(CORE) + "|" + ";".join(TABLE))
