// What the reader uses of sax beyond its types: the states it goes through, and how it is put aside while a stanza is skipped.

import sax from 'sax';
import type { Place } from './xml-skipper.ts';

/** Positions are for error texts only. The option for XML's own five entities is missing in sax's types. */
const saxOptions: sax.SAXOptions & { strictEntities: boolean } = { position: false, strictEntities: true };

/** The parts of sax's parser that are used beyond its types. Pinned by the tests of the reader. */
export interface Parser extends sax.SAXParser {
  state: number;
  textNode: string;
  cdata: string;
  sgmlDecl: string;
  attribName: string;
  attribValue: string;
  tagName: string;
  entity: string;
  q: string;
  tags: { name: string }[];
  attribList: { length: number; indexOf(name: string): number };
}

export const { STATE } = sax as unknown as { STATE: { [name: string]: number } };
export const TEXT = STATE.TEXT!;
/** Up to here characters are text between tags. */
export const lastOfText = STATE.TEXT_ENTITY!;
/** From here to the last: something began with `<` and may be other than a tag. */
export const afterLess = STATE.OPEN_WAKA!;
export const lastUnusual = STATE.PROC_INST_ENDING!;
export function newParser(): Parser {
  return sax.parser(true, saxOptions) as Parser;
}

/** Where the skipper takes over from sax. */
export function placeOf({ state, q, sgmlDecl }: Parser): Place {
  if (state <= lastOfText) return { in: 'text' };
  if (state === afterLess) return { in: 'less' };
  if (state < STATE.CDATA!) return { in: 'declaration', read: sgmlDecl };
  if (state <= STATE.CDATA_ENDING_2!) return { in: 'cdata', tail: ']'.repeat(state - STATE.CDATA!) };
  if (state === STATE.CLOSE_TAG || state === STATE.CLOSE_TAG_SAW_WHITE) return { in: 'end tag' };
  if (state === STATE.ATTRIB_VALUE_QUOTED || state === STATE.ATTRIB_VALUE_ENTITY_Q) return { in: 'quoted', quote: q };
  return { in: 'tag', last: state === STATE.OPEN_TAG_SLASH ? '/' : '' };
}

/** Puts sax between two stanzas, whatever it was in. */
export function afterStanza(parser: Parser): void {
  parser.tags.length = 1;
  parser.state = TEXT;
  parser.textNode = parser.cdata = parser.sgmlDecl = parser.entity = parser.q = '';
  parser.tagName = parser.attribName = parser.attribValue = '';
}
