"""Says which documents expat takes: JSON [[document, separator], ...] in, JSON [true, ...] out. As servers use it: with
namespaces; without document types, comments, processing instructions, and text between stanzas."""
import json
import sys
from xml.parsers import expat


def refuse(*_):
    raise ValueError("restricted")


def takes(document, separator):
    depth = 0

    def start(*_):
        nonlocal depth
        depth += 1

    def end(*_):
        nonlocal depth
        depth -= 1

    def text(characters):
        if depth == 1 and characters.strip(" \t\r\n"):
            refuse()

    parser = expat.ParserCreate(namespace_separator=separator)
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.CommentHandler = parser.ProcessingInstructionHandler = refuse
    try:
        parser.Parse(document.encode(), True)
    except (ValueError, expat.ExpatError):
        return False
    return True


json.dump([takes(*each) for each in json.load(sys.stdin)], sys.stdout)
