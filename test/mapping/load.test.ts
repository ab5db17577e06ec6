// Mapping files: what is said of faulty ones, and what the language can express beyond what the first mappings use.

import { describe, expect, it, test } from 'vitest';
import { compile } from '../../src/mapping/compile.ts';
import { checkExample } from '../../src/mapping/examples.ts';
import { load } from '../../src/mapping/load.ts';
import { isRefusal } from '../../src/refusal.ts';
import { faultsOf, files, mappings, stanzaOf, withFiles } from './mappings.ts';

const head = 'xep: "9999"\ntitle: Test\nnamespaces: { t: "urn:example:t" }\n';

describe('a mapping file that cannot be used is refused with file, line and reason:', () => {
  const rows: [string, string, string][] = [
    [
      'an unknown key',
      `${head}feilds: {}`,
      "4: unknown key 'feilds' in a mapping; known are rfc, xep, version, title, stanza, namespaces, channels, fields, drop, examples",
    ],
    ['another stanza than message and presence', `${head}stanza: iq`, '4: stanza must be one of message, presence'],
    [
      'channels for presence',
      `${head}stanza: presence\nchannels:\n  note: { when: "t:a" }`,
      '6: presence is always on the channel presence; leave channels out',
    ],
    [
      'an unknown key of a field',
      `${head}fields:\n  a: { path: "t:a", kind: text }`,
      "5: unknown key 'kind' in field 'a'; known are path, as, only, about",
    ],
    ['no path', `${head}fields:\n  a: { as: flag }`, "5: the field 'a' has no path"],
    ['an empty path', `${head}fields:\n  a: { path: "" }`, '5: bad path: it is empty'],
    ['a bad path', `${head}fields:\n  a: { path: "t:a//b" }`, "5: bad path 't:a//b': '' is no element (prefix:name)"],
    [
      'two attributes',
      `${head}fields:\n  a: { path: "t:a@b@c" }`,
      "5: bad path 't:a@b@c': after @ comes one attribute, a plain name or xml:lang",
    ],
    [
      'a prefix nobody declared',
      `${head}fields:\n\n  a: { path: "x:a" }`,
      "6: bad path 'x:a': the prefix 'x' is not declared under namespaces",
    ],
    [
      'an unknown as',
      `${head}fields:\n  a: { path: "t:a", as: number }`,
      "5: as of 'a' must be one of text, flag, integer, time, name, list, xml",
    ],
    [
      'alternatives before the end',
      `${head}fields:\n  a: { path: "t:{a,b}/t:c", as: name }`,
      "5: bad path 't:{a,b}/t:c': {…} may only stand at its end",
    ],
    ['alternatives as text', `${head}fields:\n  a: { path: "t:{a,b}" }`, "5: field 'a': {…} and as: name go together"],
    [
      'a flag on an attribute',
      `${head}fields:\n  a: { path: "t:a@b", as: flag }`,
      "5: field 'a': as: flag is for an element, not for an attribute",
    ],
    ['another only than in', `${head}fields:\n  a: { path: "t:a", only: out }`, "5: only of 'a' must be 'in'"],
    [
      "a field of the gateway's own",
      `${head}fields:\n  key: { path: "t:a" }`,
      "5: the field 'key' is the gateway's own",
    ],
    [
      'a field name that is none',
      `${head}fields:\n  a-b: { path: "t:a" }`,
      "5: 'a-b' is no field name (camelCase, letters and digits)",
    ],
    [
      "a channel of the gateway's own",
      `${head}channels:\n  ack: { when: "t:a" }`,
      "5: the channel 'ack' is the gateway's own",
    ],
    ['a channel without when', `${head}channels:\n  test: { qos: 1 }`, "5: the channel 'test' has no 'when'"],
    [
      'a channel by an attribute of the stanza',
      `${head}channels:\n  test: { when: "@type" }`,
      "5: 'when' must begin with an element",
    ],
    ['an unknown qos', `${head}channels:\n  test: { when: "t:a", qos: 2 }`, "5: qos of 'test' must be 0 or 1"],
    [
      'after nothing',
      `${head}channels:\n  test: { when: "t:a", after: [nowhere] }`,
      "5: after: there is no channel 'nowhere'",
    ],
    [
      'after in a circle',
      `${head}channels:\n  a: { when: "t:a", after: b }\n  b: { when: "t:b", after: a }`,
      '5: after: the channels a, b wait for each other in a circle',
    ],
    [
      'two fields in one place',
      `${head}fields:\n  a: { path: "t:a@x" }\n  b: { path: "t:a@x" }`,
      "6: the field 'b' stands where 'a' stands already",
    ],
    [
      'a field within xml',
      `${head}fields:\n  a: { path: "t:a", as: xml }\n  b: { path: "t:a@x" }`,
      "6: the field 'b' stands where 'a' stands already",
    ],
    [
      'xml around a field',
      `${head}fields:\n  a: { path: "t:a@x" }\n  b: { path: "t:a", as: xml }`,
      "6: the field 'b' takes an element of which other fields take parts",
    ],
    [
      'a second field beside a list',
      `${head}fields:\n  a: { path: "t:a@x", as: list }\n  b: { path: "t:a@y" }`,
      `6: <a xmlns='urn:example:t'> is repeated by a list; it can carry no other field`,
    ],
    [
      'only: in for half of an element',
      `${head}fields:\n  a: { path: "t:a@x", only: in }\n  b: { path: "t:a@y" }`,
      "6: the fields of <a xmlns='urn:example:t'> must all be 'only: in', or none",
    ],
    [
      'one of the alternatives by itself',
      `${head}fields:\n  a: { path: "t:{a,b}", as: name }\n  b: { path: "t:b@y" }`,
      "6: <b xmlns='urn:example:t'> is one of the alternatives of another field",
    ],
    [
      "the stanza's own attributes",
      `${head}fields:\n  a: { path: "@type" }`,
      "5: the attribute 'type' is the gateway's own",
    ],
    ['a drop inside an element', `${head}drop: ["t:a/t:b"]`, "4: 'drop' names children of the stanza, such as p:name"],
    ['neither rfc nor xep', 'title: Test', "1: give either rfc: or xep:, the source's number"],
    ['a title that is none', 'xep: "9999"\ntitle: [a]', '2: title must be a text (a number in quotes)'],
    [
      'no YAML',
      `${head}fields: {`,
      '4: no YAML: Flow map in block collection must be sufficiently indented and end with a }',
    ],
  ];
  test.each(rows)('%s', (_, text, fault) => expect(faultsOf({ 'test.yaml': text })).toEqual([`test.yaml:${fault}`]));

  it('all of them at once', () => {
    const faults = faultsOf({ 'a.yaml': `${head}x: 1\ny: 2`, 'b.yaml': `${head}fields:\n  a: { path: "n:a" }` });
    expect(faults.map((fault) => fault.split(': ')[0])).toEqual(['a.yaml:4', 'a.yaml:5', 'b.yaml:5']);
  });

  it('an element, a field or an attribute with two owners, with both names', () => {
    const a = `${head}channels:\n  test: { when: "t:a", qos: 0 }\nfields:\n  a: { path: "t:a@x" }\n  lang: { path: "@xml:lang" }`;
    const b = `${head}channels:\n  test: { when: "t:b" }\nfields:\n  b: { path: "t:a@y" }\n  a: { path: "t:b" }\n  l: { path: "@xml:lang" }\ndrop: ["t:a"]`;
    const faults = faultsOf({ 'a.yaml': a, 'b.yaml': b });
    expect(faults).toEqual([
      "b.yaml:7: <a xmlns='urn:example:t'> belongs to a.yaml already; an element has one owner",
      "b.yaml:8: the field 'a' is declared in a.yaml already",
      "b.yaml:9: the attribute 'xml:lang' is the field 'lang' of a.yaml already",
      "b.yaml:10: <a xmlns='urn:example:t'> belongs to a.yaml already",
      "b.yaml:5: the channel 'test' has another qos in another mapping",
    ]);
  });

  it('a folder that is not there', () =>
    expect(() => load(['/nowhere'])).toThrow('/nowhere:1: this folder cannot be read (ENOENT)'));
});

describe('an example fails', () => {
  const mapping = `${head}channels:\n  test: { when: "t:a" }\nfields:\n  a: { path: "t:a@x" }\n  s: { path: "t:s", only: in }\nexamples:\n`;
  const example = (stanza: string, publish: string) =>
    faultsOf({ 'test.yaml': `${mapping}  - stanza: ${stanza}\n    publish: ${publish}` });
  const payload = '{ to: b, a: "1" }';
  const rows: [string, string, string, string | undefined][] = [
    [
      'not, if both directions hold',
      "<message to='b'><a xmlns='urn:example:t' x='1'/><s xmlns='urn:example:t'>z</s></message>",
      '{ topic: r/u/in/test, qos: 1, payload: { to: b, a: "1", s: z } }',
      undefined,
    ],
    [
      'if the stanza is none',
      '<message',
      `{ topic: r/u/in/test, qos: 1, payload: ${payload} }`,
      'the stanza is no <message/>',
    ],
    [
      'if the channel is another',
      "<message to='b'/>",
      `{ topic: r/u/in/test, qos: 1, payload: ${payload} }`,
      'the stanza belongs on stanza with qos 1, not on test with 1',
    ],
    [
      'if the qos is another',
      "<message to='b'><a xmlns='urn:example:t' x='1'/></message>",
      `{ topic: r/u/in/test, qos: 0, payload: ${payload} }`,
      'the stanza belongs on test with qos 1, not on test with 0',
    ],
    [
      'if a field has another value',
      "<message to='b'><a xmlns='urn:example:t' x='2'/></message>",
      `{ topic: r/u/in/test, qos: 1, payload: ${payload} }`,
      `'a' is "2", the example has "1"`,
    ],
    [
      'if a field is missing',
      "<message to='b'><a xmlns='urn:example:t' x='1'/></message>",
      '{ topic: r/u/in/test, qos: 1, payload: { to: b } }',
      `'a' is "1", the example has missing`,
    ],
    [
      'if there is no way back',
      "<message to='b'><a xmlns='urn:example:t' x='1' y='2'/></message>",
      `{ topic: r/u/in/test, qos: 1, payload: { to: b, a: "1", xml: "<a xmlns='urn:example:t' x='1' y='2'/>" } }`,
      "on the way back it is refused: <a xmlns='urn:example:t'> in 'xml': this has a field of its own",
    ],
  ];
  test.each(rows)('%s', (_, stanza, publish, reason) => {
    expect(example(stanza, publish)).toEqual(reason === undefined ? [] : [`test.yaml:10: failing example: ${reason}`]);
  });
  it('if it has no publish', () => {
    expect(faultsOf({ 'test.yaml': `${mapping}  - stanza: <message/>` })).toEqual([
      'test.yaml:10: an example has a stanza, and a publish with a topic, a qos and a payload',
    ]);
  });
});

describe('of the mappings that come along', () => {
  const examples = files.flatMap((file) =>
    file.examples.map((example) => [file.name, example.line, example, file.stanza] as const),
  );
  test.each(examples)('%s: the example on line %i holds in both directions', (_, __, example, stanza) => {
    expect(checkExample(example, mappings, stanza)).toBeUndefined();
  });
  it('each has one', () => expect(files.filter((file) => file.examples.length === 0)).toEqual([]));
});

describe('the language can say', () => {
  const rows: [string, string, string, unknown][] = [
    ['a place deep down', '{ path: "t:a/t:b/t:c@d" }', "<a xmlns='urn:example:t'><b><c d='1'/></b></a>", '1'],
    ['an integer', '{ path: "t:a", as: integer }', "<a xmlns='urn:example:t'>-42</a>", -42],
    [
      'a time',
      '{ path: "t:a@at", as: time }',
      "<a xmlns='urn:example:t' at='2026-01-31T23:59:59.5+01:00'/>",
      '2026-01-31T23:59:59.5+01:00',
    ],
    ['that an element is there', '{ path: "t:a/t:b", as: flag }', "<a xmlns='urn:example:t'><b/></a>", true],
    ['which of some elements is there', '{ path: "t:a/t:{b,c}", as: name }', "<a xmlns='urn:example:t'><c/></a>", 'c'],
    [
      'a list of elements',
      '{ path: "t:a@id", as: list }',
      "<a xmlns='urn:example:t' id='1'/><a xmlns='urn:example:t' id='2'/>",
      ['1', '2'],
    ],
    [
      'a list inside an element',
      '{ path: "t:a/t:b", as: list }',
      "<a xmlns='urn:example:t'><b>x</b><b>y</b></a>",
      ['x', 'y'],
    ],
    [
      'a whole element',
      '{ path: "t:a", as: xml }',
      '<a xmlns="urn:example:t" x="1"><b>text</b></a>',
      '<a xmlns="urn:example:t" x="1"><b>text</b></a>',
    ],
  ];
  test.each(rows)('%s', (_, field, children, value) => {
    withFiles({ 'test.yaml': `${head}fields:\n  f: ${field}` }, (dir) => {
      const own = compile(load([dir]));
      const { fields } = own.toPayload(stanzaOf(`<message to='b'>${children}</message>`));
      const same =
        typeof value === 'string' ? (text: unknown) => String(text).replaceAll("'", '"') : (it: unknown) => it;
      expect({ ...fields, f: same(fields.f) }).toEqual({ to: 'b', f: value });
      const back = own.toStanza('stanza', fields);
      if (isRefusal(back)) throw new Error(back.text);
      expect(own.toPayload(back).fields).toEqual(fields);
    });
  });

  const misfits: [string, string, string][] = [
    ['an integer', '{ path: "t:a", as: integer }', "<a xmlns='urn:example:t'>007</a>"],
    ['a time', '{ path: "t:a", as: time }', "<a xmlns='urn:example:t'>yesterday</a>"],
    ['an attribute that is missing', '{ path: "t:a@id" }', "<a xmlns='urn:example:t'/>"],
  ];
  test.each(misfits)('what is not %s stays in xml', (_, field, child) => {
    withFiles({ 'test.yaml': `${head}fields:\n  f: ${field}` }, (dir) => {
      const { fields } = compile(load([dir])).toPayload(stanzaOf(`<message to='b'>${child}</message>`));
      expect(Object.keys(fields)).toEqual(['to', 'xml']);
    });
  });
});
