#!/usr/bin/env python3
"""Write the generated tables of dataplane/h2: field_hash.h and hpack_huffman_table.h.

field_hash.h comes from field_names.def; run this after a change there. With --check nothing is
written and the exit status tells whether the committed files are up to date.
"""
import pathlib
import random
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "dataplane" / "h2"

HASH_SIZE = 512
PAIR_BITS = 12

# RFC 7541 Appendix B: the length in bits of the code of each symbol 0..255 and of EOS. The codes
# follow from the lengths: they are canonical, shorter first, equal lengths in order of symbols.
CODE_LENGTHS = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
]

HEAD = """/* %s: made by scripts/generate_h2_tables.py from %s; do not edit. */
#pragma once

#include <stdint.h>

/* clang-format off */
"""


def rows(items, per_row):
    for start in range(0, len(items), per_row):
        yield "    " + ", ".join(items[start:start + per_row]) + ",\n"


def field_hash(name, factors):
    text = name.encode()
    by_length, by_first, by_middle, by_last = factors
    return (len(text) * by_length + text[0] * by_first + text[len(text) // 2] * by_middle
            + text[-1] * by_last) % HASH_SIZE


def find_factors(names):
    """Factors under which no two names share a slot, the same ones for the same names."""
    chance = random.Random(7541)
    for _ in range(1000000):
        factors = [chance.randrange(1, HASH_SIZE) for _ in range(4)]
        if len({field_hash(name, factors) for name in names}) == len(names):
            return factors
    sys.exit("no perfect hash found: make HASH_SIZE larger")


def field_hash_header():
    fields = re.findall(r'^FIELD\((\w+), "([^"]+)"\)$', (FOLDER / "field_names.def").read_text(),
                        re.MULTILINE)
    factors = find_factors([name for _, name in fields])
    slots = sorted((field_hash(name, factors), token) for token, name in fields)
    out = HEAD % ("field_hash", "field_names.def")
    out += f"#define FIELD_HASH_SLOTS     {HASH_SIZE}\n"
    for what, factor in zip(("LENGTH", "FIRST", "MIDDLE", "LAST"), factors):
        out += f"#define FIELD_HASH_{what:<9} {factor}\n"
    out += f"#define FIELD_LONGEST_NAME   {max(len(name) for _, name in fields)}\n"
    out += f"#define FIELD_HASHED_NAMES   {len(fields)}\n\n"
    out += "/* The token at home in a slot; FIELD_OTHER (0) where there is none. */\n"
    out += "static const uint8_t field_hash_tokens[FIELD_HASH_SLOTS] = {\n"
    out += "".join(f"    [{slot}] = FIELD_{token},\n" for slot, token in slots)
    return out + "};\n/* clang-format on */\n"


def canonical_codes():
    order = sorted(range(257), key=lambda symbol: (CODE_LENGTHS[symbol], symbol))
    codes, code, length = {}, 0, CODE_LENGTHS[order[0]]
    for symbol in order:
        code <<= CODE_LENGTHS[symbol] - length
        length = CODE_LENGTHS[symbol]
        codes[symbol] = code
        code += 1
    assert code == 1 << length, "the code is not complete"
    return order, codes


def symbol_at(bits, width, codes_by_text):
    """The symbol whose code begins the WIDTH-bit number BITS, or None when it is longer."""
    text = format(bits, f"0{width}b") if width > 0 else ""
    for length in range(5, width + 1):
        if text[:length] in codes_by_text:
            return codes_by_text[text[:length]]
    return None


def pairs(codes):
    by_text = {format(code, f"0{CODE_LENGTHS[symbol]}b"): symbol for symbol, code in codes.items()}
    for index in range(1 << PAIR_BITS):
        first = symbol_at(index, PAIR_BITS, by_text)
        if first is None:
            yield "{{0, 0}, 0, 0}"
            continue
        left = PAIR_BITS - CODE_LENGTHS[first]
        second = symbol_at(index & ((1 << left) - 1), left, by_text)
        if second is None:
            yield f"{{{{{first}, 0}}, 1, {CODE_LENGTHS[first]}}}"
        else:
            yield f"{{{{{first}, {second}}}, 2, {CODE_LENGTHS[first] + CODE_LENGTHS[second]}}}"


def long_rows(order, codes):
    """One row for each code length above PAIR_BITS."""
    for length in sorted({bits for bits in CODE_LENGTHS if bits > PAIR_BITS}):
        symbols = [symbol for symbol in order if CODE_LENGTHS[symbol] == length]
        end = (codes[symbols[-1]] + 1) << (30 - length)
        yield f"{{{length}, {order.index(symbols[0])}, {codes[symbols[0]]:#x}, {end:#x}}}"


def huffman_header():
    order, codes = canonical_codes()
    longs = list(long_rows(order, codes))
    out = HEAD % ("hpack_huffman_table", "the code of RFC 7541 Appendix B")
    out += f"#define HUFFMAN_EOS        256\n#define HUFFMAN_PAIR_BITS  {PAIR_BITS}\n"
    out += f"#define HUFFMAN_LONG_CODES {len(longs)}\n\n"
    out += "/* The code of each symbol and EOS: its bits, right-aligned, and how many. */\n"
    out += "struct huffman_code {\n    uint32_t bits;\n    uint8_t length;\n};\n\n"
    out += "static const struct huffman_code huffman_codes[257] = {\n"
    out += "".join(rows([f"{{{codes[s]:#x}, {CODE_LENGTHS[s]}}}" for s in range(257)], 6))
    out += "};\n\n/* The symbols in the order of their codes. */\n"
    out += "static const uint16_t huffman_symbols[257] = {\n"
    out += "".join(rows([str(symbol) for symbol in order], 16))
    out += "};\n\n/* Codes longer than HUFFMAN_PAIR_BITS: `end` is the first 30 bits above a length. */\n"
    out += "struct huffman_long {\n    uint8_t length;\n    uint16_t first_symbol; /* in huffman_symbols */\n"
    out += "    uint32_t first_code;\n    uint32_t end;\n};\n\n"
    out += "static const struct huffman_long huffman_longs[HUFFMAN_LONG_CODES] = {\n"
    out += "".join(rows(longs, 3))
    out += "};\n\n/* What the next HUFFMAN_PAIR_BITS bits begin with: up to two whole symbols. */\n"
    out += "struct huffman_pair {\n    uint8_t symbols[2];\n    uint8_t count; /* 0: a longer code */\n"
    out += "    uint8_t length; /* bits of all COUNT codes */\n};\n\n"
    out += "static const struct huffman_pair huffman_pairs[1 << HUFFMAN_PAIR_BITS] = {\n"
    out += "".join(rows(list(pairs(codes)), 5))
    return out + "};\n/* clang-format on */\n"


def main():
    stale = []
    for name, text in (("field_hash.h", field_hash_header()),
                       ("hpack_huffman_table.h", huffman_header())):
        path = FOLDER / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
    if stale:
        print("stale:" if "--check" in sys.argv[1:] else "written:", " ".join(stale))
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
