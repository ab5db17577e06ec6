// Everything the reader says about what it is given, one line each.

import type { Element } from 'ltx';
import type { ReaderLimits, Skipped } from '../../src/xmpp/stanza-limits.ts';
import type { TagForms } from '../../src/xmpp/tag-forms.ts';
import { type XmlFault, XmlReader } from '../../src/xmpp/xml-reader.ts';

export const header = `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1'>`;

export function read(chunks: string[], limits: Partial<ReaderLimits> = {}, forms?: TagForms): string[] {
  const said: string[] = [];
  const reader = new XmlReader(limits, 'stream', forms);
  reader.on('start', (root: Element) => said.push(`start ${root.attrs.id}`));
  reader.on('element', (element: Element) => said.push(element.toString()));
  reader.on('skipped', ({ outline, reason }: Skipped) => said.push(`skipped ${reason} ${outline}`));
  reader.on('error', (fault: XmlFault) => said.push(`error ${fault.condition}`));
  reader.on('end', () => said.push('end'));
  for (const chunk of chunks) reader.write(chunk);
  return said;
}

/** Without what it says of the stream's header. */
export const inStream = (text: string, limits?: Partial<ReaderLimits>, forms?: TagForms) =>
  read([header, text], limits, forms).slice(1);
