// Where two elements differ, as paths: attribute order, prefixes and white space between elements aside. Pure; says names, never values.

import type { Element } from 'ltx';
import { isNamespaceAttribute, namespaceOf } from '../mapping/xml.ts';

/**
 * `lost`: an element, attribute or text that is not there any more. `changed`: it says something else. `added`: it was not there.
 * `refused`: apps must not or cannot say it.
 */
export type LossKind = 'lost' | 'changed' | 'added' | 'refused';

export interface Loss {
  /** From the message's child on: `{namespace}name/inner@attribute`, `#text` for text; a namespace is named where it changes. */
  path: string;
  /** Of the message's child in which it stands; jabber:client for the message itself. */
  namespace: string;
  kind: LossKind;
}

/** One text for all ways of writing the same element. */
export function formOf(element: Element): string {
  const attributes = [...attributesOf(element)].sort(([one], [other]) => (one < other ? -1 : 1));
  const inner = contentOf(element).map((child) => (typeof child === 'string' ? JSON.stringify(child) : formOf(child)));
  return `${nameOf(element)}${JSON.stringify(attributes)}(${inner.join('')})`;
}

/** `{namespace}name`. */
export function nameOf(element: Element): string {
  return `{${namespaceOf(element)}}${element.name}`;
}

/** What is not the same in `is`, an element of the same name; `at` is the path of both. */
export function differencesOf(was: Element, is: Element, at: Pick<Loss, 'path' | 'namespace'>): Loss[] {
  const { path, namespace } = at;
  const found: Loss[] = [];
  const say = (kind: LossKind, rest: string) => found.push({ path: path + rest, namespace, kind });
  const [before, after] = [attributesOf(was), attributesOf(is)];
  for (const [name, value] of before) {
    if (!after.has(name)) say('lost', `@${name}`);
    else if (after.get(name) !== value) say('changed', `@${name}`);
  }
  for (const name of after.keys()) if (!before.has(name)) say('added', `@${name}`);
  const [said, left] = [textOf(was), textOf(is)];
  if (said !== left) say(left === '' ? 'lost' : said === '' ? 'added' : 'changed', '#text');
  const { pairs, lost, added } = matched(elementsIn(was), elementsIn(is));
  const below = (child: Element) => `/${namespaceOf(child) === namespaceOf(was) ? child.name : nameOf(child)}`;
  for (const child of lost) say('lost', below(child));
  for (const child of added) say('added', below(child));
  for (const [one, other] of pairs) found.push(...differencesOf(one, other, { path: path + below(one), namespace }));
  if (found.length === 0 && formOf(was) !== formOf(is)) say('changed', '#order');
  return found;
}

/** Equal elements are taken out first, whatever their order; of the rest those with the same name belong together. Linear. */
export function matched(
  was: readonly Element[],
  is: readonly Element[],
): { pairs: [Element, Element][]; lost: Element[]; added: Element[] } {
  const byForm = new Map<string, Element[]>();
  for (const element of is) queue(byForm, formOf(element), element);
  const differing = was.filter((element) => byForm.get(formOf(element))?.pop() === undefined);
  const byName = new Map<string, Element[]>();
  // The first is taken from the end, at no cost.
  for (const element of [...byForm.values()].flat().reverse()) queue(byName, nameOf(element), element);
  const pairs: [Element, Element][] = [];
  const lost: Element[] = [];
  for (const element of differing) {
    const other = byName.get(nameOf(element))?.pop();
    if (other) pairs.push([element, other]);
    else lost.push(element);
  }
  return { pairs, lost, added: [...byName.values()].flat() };
}

function queue(queues: Map<string, Element[]>, key: string, element: Element): void {
  const there = queues.get(key);
  if (there) there.push(element);
  else queues.set(key, [element]);
}

/** By name; a prefix is replaced by what it stands for. */
function attributesOf(element: Element): Map<string, string> {
  const named = new Map<string, string>();
  for (const [name, value] of Object.entries(element.attrs)) {
    if (isNamespaceAttribute(name) || value === undefined || value === null) continue;
    const [prefix, local] = name.split(':') as [string, string?];
    const uri = local === undefined || prefix === 'xml' ? undefined : element.attrs[`xmlns:${prefix}`];
    named.set(uri === undefined ? name : `{${uri}}${local}`, String(value));
  }
  return named;
}

/** Texts and elements; texts that meet are one, and white space beside elements is layout. */
function contentOf(element: Element): (string | Element)[] {
  const hasElements = elementsIn(element).length > 0;
  const content: (string | Element)[] = [];
  let text = '';
  const flush = () => {
    if (text !== '' && !(hasElements && text.trim() === '')) content.push(text);
    text = '';
  };
  for (const child of element.children) {
    if (typeof child === 'string') {
      text += child;
      continue;
    }
    flush();
    content.push(child);
  }
  flush();
  return content;
}

function textOf(element: Element): string {
  return contentOf(element)
    .filter((child) => typeof child === 'string')
    .join('');
}

export function elementsIn(element: Element): Element[] {
  return element.children.filter((child): child is Element => typeof child !== 'string');
}
