// XML text to ltx Elements and back, for tests: namespaces stay attributes, nothing is checked but well-formedness.

import { Element } from 'ltx';
import sax from 'sax';

/** Reads a stream of XML; `onStanza` gets each complete child of the first element, `onHeader` that element's attributes. */
export function readStream(
  onStanza: (stanza: Element) => void,
  onHeader: (attrs: Record<string, string>) => void = () => {},
) {
  // Counting positions, sax takes no attribute of more than 64 KiB.
  const parser = sax.parser(true, { position: false });
  let depth = 0;
  let current: Element | null = null;
  parser.onopentag = ({ name, attributes }) => {
    depth += 1;
    const attrs = attributes as Record<string, string>;
    if (depth === 1) return onHeader(attrs);
    const element: Element = new Element(name, attrs);
    current = current ? current.cnode(element) : element;
  };
  parser.ontext = (text) => current?.t(text);
  parser.onclosetag = () => {
    depth -= 1;
    const done = current;
    current = done?.parent ?? null;
    if (depth === 1 && done) onStanza(done);
  };
  return { write: (text: string) => void parser.write(text) };
}

/** One element from its text. */
export function parseXml(text: string): Element {
  let root: Element | undefined;
  readStream((element) => {
    root = element;
  }).write(`<root>${text}</root>`);
  if (!root) throw new Error(`no element in ${text}`);
  return root;
}

/** Text made safe for an attribute or a text node. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
