// `<d/>` of the attach protocol (docs/attach-protocol.md): what is in one, whole or skipped. Pure.

import { Element } from 'ltx';
import { prepareBare } from './jid.ts';
import { NS_CLIENT } from './namespaces.ts';
import type { Arrival } from './session.ts';
import { elementsOf, isStanza } from './stanza.ts';
import type { Skipped } from './stanza-limits.ts';

export interface SkippedContent {
  /** The inner stanza's, where its start tag was read. */
  name?: string;
  from?: string;
  to?: string;
  id?: string;
  type?: string;
  /** The envelope's: set on copies. */
  dir?: Arrival['dir'];
  /** Of the whole element; 0 where it was not counted. */
  bytes: number;
  reason: Skipped['reason'] | 'malformed';
}

export interface Arriving {
  epoch: string;
  /** 0 where there is no number. */
  n: number;
  /** Prepared bare JID; the host where there is no valid one. */
  user: string;
  content:
    | { kind: 'stanza'; stanza: Element; arrival: Pick<Arrival, 'dir' | 'seen' | 'sid'> }
    /** The server took this one back: the envelope is empty and keeps its number. */
    | { kind: 'hole' }
    /** Here copies for the observer of this user were left out. */
    | { kind: 'missed' }
    | { kind: 'skipped'; what: SkippedContent };
}

/** Takes the stanza out of its envelope: alone, and without the `xmlns` it has there. */
export function readEnvelope(d: Element, host: string): Arriving {
  const where = place(d, host);
  const { seen, sid, missed } = d.attrs;
  const dir = wayOf(d);
  const inner = elementsOf(d);
  const [stanza] = inner;
  if (stanza === undefined) return { ...where, content: { kind: missed === '1' ? 'missed' : 'hole' } };
  if (stanza.attrs.xmlns === NS_CLIENT) delete stanza.attrs.xmlns;
  if (inner.length > 1 || !isStanza(stanza) || !where.valid) {
    return { ...where, content: { kind: 'skipped', what: { ...names(stanza), dir, bytes: 0, reason: 'malformed' } } };
  }
  stanza.parent = null;
  return { ...where, content: { kind: 'stanza', stanza, arrival: { dir, seen: seen === '1', sid } } };
}

/** An envelope that was over a limit: as much of it as was read. */
export function readSkipped(d: Element, host: string, { bytes, reason }: Skipped): Arriving {
  const inner = d.children.find((child) => child instanceof Element);
  return { ...place(d, host), content: { kind: 'skipped', what: { ...names(inner), dir: wayOf(d), bytes, reason } } };
}

function place({ attrs }: Element, host: string): Omit<Arriving, 'content'> & { valid: boolean } {
  const user = prepareBare(attrs.to ?? '');
  const { epoch = '', n = '' } = attrs;
  return { epoch, n: /^[1-9]\d{0,14}$/.test(n) ? Number(n) : 0, user: user ?? host, valid: user !== null };
}

function wayOf({ attrs: { dir } }: Element): Arrival['dir'] {
  return dir === 'in' || dir === 'out' ? dir : undefined;
}

function names(stanza: Element | string | undefined): Pick<SkippedContent, 'name' | 'from' | 'to' | 'id' | 'type'> {
  if (!(stanza instanceof Element)) return {};
  const { from, to, id, type } = stanza.attrs;
  return { name: stanza.name, from, to, id, type };
}
