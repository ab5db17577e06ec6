// Stanza errors (RFC 6120 §8.3): making one of a refusal, reading one.

import { Element } from 'ltx';
import type { Refusal } from '../refusal.ts';
import { NS_STANZA_ERRORS } from './namespaces.ts';
import type { SendResult } from './session.ts';
import { elementsOf } from './stanza.ts';

export interface StanzaError {
  /** `cancel` where the stanza does not say. */
  type: string;
  /** `undefined-condition` where the stanza does not say. */
  condition: string;
  /** '' without one. */
  text: string;
}

/** The answer to a stanza that is refused, to be sent back to its sender. Null: an error or a result is never answered (§8.3.1). */
export function errorReply(stanza: Element, refusal: Refusal): Element | null {
  const { type, from, to, id } = stanza.attrs;
  if (type === 'error' || type === 'result') return null;
  const reply = new Element(stanza.name, { type: 'error', from: to, to: from, id });
  const error = reply.c('error', { type: refusal.type });
  error.c(refusal.condition, { xmlns: NS_STANZA_ERRORS });
  error.c('text', { xmlns: NS_STANZA_ERRORS }).t(refusal.text);
  return reply;
}

/** What an error stanza says. */
export function readError(stanza: Element): StanzaError {
  const error = elementsOf(stanza).find((child) => child.name === 'error' && child.attrs.xmlns === undefined);
  const read: StanzaError = { type: error?.attrs.type ?? 'cancel', condition: 'undefined-condition', text: '' };
  for (const child of error ? elementsOf(error) : []) {
    if (child.attrs.xmlns !== NS_STANZA_ERRORS) continue;
    if (child.name === 'text') read.text = child.getText();
    else read.condition = child.name;
  }
  return read;
}

/** What the answer to a `<send/>` means. `item-not-found`: the session is gone, which attaching it again cures. */
export function sendResultOf(answer: Element): Exclude<SendResult, { kind: 'lost' }> {
  if (answer.attrs.type === 'result') return { kind: 'processed' };
  const no = refusalOf(readError(answer));
  return no.condition === 'item-not-found' ? { ...no, kind: 'wait' } : no;
}

/** `wait`: to be tried again; `refused`: never (RFC 6120 §8.3.2). */
export function refusalOf({ type, condition, text }: StanzaError): Extract<SendResult, { condition: string }> {
  return { kind: type === 'wait' ? 'wait' : 'refused', condition, text };
}
