"""What expat makes of documents: JSON [[document, separator], ...] in; out for each whether it takes it, or with the argument
"stanzas" the root's children, each [name, {attribute: value}, [text or element, ...]], null where it refuses. As servers use it: with
namespaces; without document types, comments, processing instructions, and text between stanzas."""
import json
import sys
from xml.parsers import expat


def refuse(*_):
    raise ValueError("restricted")


def read(document, separator):
    stanzas, inside = [], []

    def start(name, attributes):
        element = [name, attributes, []]
        if len(inside) > 1:
            inside[-1][2].append(element)
        elif inside:
            stanzas.append(element)
        inside.append(element)

    def end(_):
        inside.pop()

    def text(characters):
        content = inside[-1][2]
        if len(inside) == 1:
            if characters.strip(" \t\r\n"):
                refuse()
        elif content and isinstance(content[-1], str):
            content[-1] += characters
        else:
            content.append(characters)

    parser = expat.ParserCreate(namespace_separator=separator)
    parser.buffer_text, parser.buffer_size = True, 2**20
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.CommentHandler = parser.ProcessingInstructionHandler = refuse
    try:
        parser.Parse(document.encode(), True)
    except (ValueError, expat.ExpatError):
        return None
    return stanzas


def is_taken(document, separator):
    return read(document, separator) is not None


answer = read if sys.argv[1:] == ["stanzas"] else is_taken
json.dump([answer(*each) for each in json.load(sys.stdin)], sys.stdout)
