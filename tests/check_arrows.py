#!/usr/bin/env python3
"""Check that includes follow the arrows of the architecture.

    check_arrows.py ROOT       check dataplane/ and control/ under ROOT
    check_arrows.py --selftest check that each rule can fail

A folder of the data plane may include those that come before it. Exit status 1 and one line for
each offending include: file:line: what is wrong.
"""

import pathlib
import itertools
import re
import sys

# What each folder may include besides itself. The order is the order of the layers.
LAYERS = {
    "base": [],
    "net": ["base"],
    "tcp": ["base", "net"],
    "tls": ["base", "net", "tcp"],
    "h2": ["base", "net", "tcp", "tls"],
    "h1": ["base", "net", "tcp", "tls", "h2"],
    "region": ["base"],
    "upstream": ["base", "net", "tcp", "tls", "h2", "h1", "region"],
    "coalesce": ["base", "net", "tcp", "tls", "h2", "h1", "region", "upstream"],
    "request": ["base", "net", "tcp", "tls", "h2", "h1", "region", "upstream", "coalesce"],
    "worker": ["base", "net", "tcp", "tls", "h2", "h1", "region", "upstream", "coalesce",
               "request", "xdp"],
    "xdp": [],
}

# What control sees of the data plane: the snapshot, mail, counters, ports at start, the maps.
CONTROL_MAY_INCLUDE = ["base", "region", "worker", "xdp", "net"]

# What certificates become, and lines of the key log; everything else of TLS is the data plane's own.
TLS_FOR_CONTROL = ("dataplane/tls/tls_context.h", "dataplane/tls/tls_target.h",
                   "dataplane/tls/tls_arena.h", "dataplane/tls/tls_key_log.h")

# Libraries that stay behind one or two files of control/.
CONTROL_LIBRARIES = {
    "hiredis": re.compile(r"(hiredis/)?(hiredis\w*|async|sds|alloc|read)\.h"),
    "libbpf": re.compile(r"bpf/.*\.h"),
    "jansson": re.compile(r"jansson\.h"),
    "libmicrohttpd": re.compile(r"microhttpd\.h"),
}
FILES_PER_LIBRARY = 2

# hiredis has headers with common names: only these two belong to it without their folder.
HIREDIS_BARE = ("hiredis.h", "hiredis_ssl.h")

# The kernel's side of steering is built with libbpf's helpers and never linked into weir.
BPF_PROGRAM = re.compile(r"dataplane/xdp/.*\.bpf\.c$")

OPENSSL_MAY_BE_INCLUDED_BY = re.compile(r"dataplane/tls/|control/certificate[^/]*$")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def read_includes(root):
    """All includes as (file, line number, opening bracket, name), files relative to root."""
    found = []
    for folder in ("dataplane", "control"):
        for path in sorted((root / folder).rglob("*.[ch]")):
            text = path.read_text(encoding="utf-8", errors="replace")
            for number, line in enumerate(text.splitlines(), 1):
                match = INCLUDE.match(line)
                if match:
                    found.append((path.relative_to(root).as_posix(), number, *match.groups()))
    return found


def library_of(name):
    """The restricted library a header belongs to, or None."""
    for library, pattern in CONTROL_LIBRARIES.items():
        if not pattern.fullmatch(name):
            continue
        if library == "hiredis" and "/" not in name and name not in HIREDIS_BARE:
            continue
        return library
    return None


def check_project_include(file, name):
    """What is wrong with an include of one of our own headers, or None."""
    own = file.split("/")
    other = name.split("/")
    if len(other) < 3 and other[0] == "dataplane":
        return f"{name} is in no folder of the data plane"
    if own[0] == "dataplane":
        if other[0] == "control":
            return f"dataplane/ must not include {name}"
        if own[1] not in LAYERS or other[1] not in LAYERS:
            return f"dataplane/{own[1]} or {name} is in a folder that has no place in the layers"
        if other[1] != own[1] and other[1] not in LAYERS[own[1]]:
            return f"dataplane/{own[1]} must not include {name}"
        return None
    if name in TLS_FOR_CONTROL:
        return None
    if other[0] == "dataplane" and other[1] not in CONTROL_MAY_INCLUDE:
        return f"control must not include {name}"
    return None


def check_library_include(file, name):
    """What is wrong with an include of a library's header, or None."""
    if name.startswith("openssl/") and not OPENSSL_MAY_BE_INCLUDED_BY.match(file):
        return f"{name} is for dataplane/tls and control/certificate* only"
    if library_of(name) and not file.startswith("control/") and not BPF_PROGRAM.match(file):
        return f"{name} is for control only"
    return None


def check_include(file, bracket, name):
    """What is wrong with one include, or None."""
    if name.startswith(("dataplane/", "control/")):
        return check_project_include(file, name)
    if bracket == '"':
        return f'"{name}" does not say its folder: dataplane/... or control/...'
    return check_library_include(file, name)


def program_of(file):
    """The program of control/ that a file belongs to: the daemon or the operator's command."""
    if file.startswith("control/weirctl/"):
        return "weirctl"
    return "weir" if file.startswith("control/") else None


def check_library_spread(includes):
    """Complaints about libraries that too many files of one of control/'s programs include."""
    complaints = []
    for library, program in itertools.product(CONTROL_LIBRARIES, ("weir", "weirctl")):
        files = sorted({file for file, _, _, name in includes
                        if program_of(file) == program and library_of(name) == library})
        if len(files) > FILES_PER_LIBRARY:
            complaints.append(f"{files[-1]}:1: {library} is included by {len(files)} files, at "
                              f"most {FILES_PER_LIBRARY} may: {', '.join(files)}")
    return complaints


def check(includes):
    complaints = []
    for file, number, bracket, name in includes:
        wrong = check_include(file, bracket, name)
        if wrong:
            complaints.append(f"{file}:{number}: {wrong}")
    return complaints + check_library_spread(includes)


GOOD = [
    ("dataplane/base/pool.c", '"', "dataplane/base/pool.h"),
    ("dataplane/tcp/out.c", '"', "dataplane/net/port.h"),
    ("dataplane/worker/worker.c", '"', "dataplane/request/exchange.h"),
    ("dataplane/worker/worker.c", '"', "dataplane/region/snapshot.h"),
    ("dataplane/region/pick.c", '"', "dataplane/base/random.h"),
    ("dataplane/tls/session.c", "<", "openssl/ssl.h"),
    ("dataplane/net/port.c", "<", "rte_ethdev.h"),
    ("dataplane/xdp/steer.bpf.c", "<", "bpf/bpf_helpers.h"),
    ("control/certificate_load.c", "<", "openssl/pem.h"),
    ("control/main.c", '"', "dataplane/worker/mail.h"),
    ("control/main.c", '"', "control/config.h"),
    ("control/steer.c", "<", "bpf/libbpf.h"),
    ("control/steer_map.c", "<", "bpf/bpf.h"),
]

BAD = [
    ("dataplane/base/pool.c", '"', "dataplane/net/port.h"),
    ("dataplane/net/port.c", '"', "dataplane/tcp/tcp.h"),
    ("dataplane/tls/session.c", '"', "dataplane/h2/frame.h"),
    ("dataplane/h2/frame.c", '"', "dataplane/h1/parse.h"),
    ("dataplane/region/pick.c", '"', "dataplane/net/port.h"),
    ("dataplane/upstream/attempt.c", '"', "dataplane/coalesce/flight.h"),
    ("dataplane/coalesce/flight.c", '"', "dataplane/request/exchange.h"),
    ("dataplane/request/exchange.c", '"', "dataplane/worker/worker.h"),
    ("dataplane/worker/worker.c", '"', "control/config.h"),
    ("dataplane/new/thing.c", '"', "dataplane/base/pool.h"),
    ("dataplane/base/pool.c", '"', "dataplane/pool.h"),
    ("dataplane/base/pool.c", '"', "pool.h"),
    ("dataplane/net/port.c", "<", "bpf/bpf.h"),
    ("dataplane/worker/worker.c", "<", "jansson.h"),
    ("dataplane/h2/frame.c", "<", "openssl/ssl.h"),
    ("control/main.c", "<", "openssl/ssl.h"),
    ("control/main.c", '"', "dataplane/h2/frame.h"),
    ("control/main.c", '"', "dataplane/coalesce/flight.h"),
]

SPREAD = {
    "hiredis/hiredis.h": "hiredis",
    "hiredis/async.h": "hiredis",
    "hiredis.h": "hiredis",
    "bpf/libbpf.h": "libbpf",
    "jansson.h": "jansson",
    "microhttpd.h": "libmicrohttpd",
}


def selftest():
    """Complaints about the checker itself: samples it judges wrongly."""
    wrong = []
    for file, bracket, name in GOOD:
        if check([(file, 1, bracket, name)]):
            wrong.append(f"good sample refused: {file} includes {name}")
    for file, bracket, name in BAD:
        if len(check([(file, 1, bracket, name)])) != 1:
            wrong.append(f"bad sample accepted: {file} includes {name}")
    for name, library in SPREAD.items():
        files = [(f"control/{n}.c", 1, "<", name) for n in ("a", "b", "c")]
        if check(files[:2]) or len(check(files)) != 1 or library not in check(files)[0]:
            wrong.append(f"spread of {name} is judged wrongly")
    if not INCLUDE.match('# include "dataplane/base/pool.h" /* why */'):
        wrong.append("an include with spaces and a comment is not seen")
    return wrong


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--selftest":
        complaints = selftest()
    else:
        includes = read_includes(pathlib.Path(sys.argv[1]))
        complaints = check(includes) if includes else ["no includes found: is this the root?"]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
