#!/usr/bin/env python3
"""Make a C header that holds a text file as a string.

    embed_text.py INPUT OUTPUT NAME
"""
import sys


def main():
    source, target, name = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        lines = file.read().splitlines()
    with open(target, "w", encoding="utf-8") as file:
        file.write(f"/* Made from {source.rsplit('/', 1)[-1]} by embed_text.py. */\n#pragma once\n\n")
        file.write(f"static const char {name}[] =\n")
        for line in lines:
            text = line.replace("\\", "\\\\").replace('"', '\\"')
            file.write(f'    "{text}\\n"\n')
        file.write("    ;\n")


if __name__ == "__main__":
    main()
