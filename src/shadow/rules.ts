// What may differ between a stanza and its way there and back without being a loss: each rule by name, for the report. Pure.

import type { Element } from 'ltx';
import { namespaceOf } from '../mapping/xml.ts';
import { NS_ARCHIVED, NS_DELAY, NS_SID } from '../xmpp/namespaces.ts';

export const rules = {
  delay: 'servers say when a message was sent (XEP-0203); apps have it as `at`',
  'legacy-delay': 'the same in its old form (XEP-0091)',
  'stanza-id': "the archive's id (XEP-0359), which only servers give",
  archived: "the archive's id in its old form",
  lang: 'servers add the language of the stream to a message that has none',
  from: 'the sender is taken from the topic',
  to: 'a message without an addressee is to the own account',
  id: 'a message without an id gets one',
  bounced: 'an error sends back what it answers; apps are told its id, the condition and the text',
  error: 'errors are sent by software, not by people: the gateway answers for its apps',
} as const;

export type Rule = keyof typeof rules;

const addedByServers: Record<string, Rule> = {
  [`{${NS_DELAY}}delay`]: 'delay',
  '{jabber:x:delay}x': 'legacy-delay',
  [`{${NS_SID}}stanza-id`]: 'stanza-id',
  [`{${NS_ARCHIVED}}archived`]: 'archived',
};

/** The rule for a child of a message that servers add. */
export function ruleOf(child: Element): Rule | undefined {
  return addedByServers[`{${namespaceOf(child)}}${child.name}`];
}
