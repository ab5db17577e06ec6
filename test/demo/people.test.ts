// What a contact list shows, from the presence stanzas that came.

import { expect, test } from 'vitest';
import { contactSeen } from '../../demo/people.ts';
import { parseXml } from '../harness/xml.ts';

const presence = (from: string, inner = '') => `<presence from='${from}'>${inner}</presence>`;
const gone = (from: string) => `<presence from='${from}' type='unavailable'/>`;
const [laptop, phone] = ['bob@example.com/laptop', 'bob@example.com/mqtt'];

const rows = [
  { what: 'nothing yet', stanzas: [], seen: { online: [], show: 'offline', wentOffline: 0 } },
  {
    what: 'one resource after the other without a gap',
    stanzas: [presence(laptop), presence(phone), gone(laptop)],
    seen: { online: ['mqtt'], show: 'online', wentOffline: 0 },
  },
  {
    what: 'a gap between them',
    stanzas: [presence(laptop), gone(laptop), presence(phone)],
    seen: { online: ['mqtt'], show: 'online', wentOffline: 1 },
  },
  {
    what: 'away for long',
    stanzas: [presence(phone), presence(phone, '<show>xa</show>')],
    seen: { online: ['mqtt'], show: 'xa', wentOffline: 0 },
  },
  {
    what: 'somebody else, and a request',
    stanzas: [presence('carol@example.com/desk'), "<presence from='bob@example.com' type='subscribe'/>"],
    seen: { online: [], show: 'offline', wentOffline: 0 },
  },
  {
    what: 'the same resource gone twice',
    stanzas: [presence(laptop), gone(laptop), gone(laptop)],
    seen: { online: [], show: 'offline', wentOffline: 1 },
  },
];

test.each(rows)('$what', ({ stanzas, seen }) => {
  expect(contactSeen(stanzas.map(parseXml), 'bob@example.com')).toEqual(seen);
});
