// What can stand in a stanza at all, whatever it is escaped to.

import { expect, test } from 'vitest';
import { isXmlText } from '../../src/xmpp/xml-text.ts';

const legal = ['', 'plain', 'tab\tand\nline\r\n', '\u0020', '\u007f', '\u0085', '\ufffd', 'é\u{1f600}', '\ud83d\ude00'];
const illegal = ['\u0000', 'a\u0008', '\u000b', '\u000c', '\u000e', '\u001f', '\ufffe', '\uffff', '\ud83d', '\ude00x'];

test.each(legal)('XML can carry %j', (text) => expect(isXmlText(text)).toBe(true));
test.each(illegal)('XML cannot carry %j', (text) => expect(isXmlText(text)).toBe(false));
