// The AsyncAPI 3.0 document of the MQTT side, made from the mapping files (docs/asyncapi.yaml); DESIGN §6 is its source.

import { shows } from '../mqtt/message.ts';
import { requestPayloads, requestTopics } from './asyncapi-requests.ts';
import type { Mappings } from './compile.ts';
import { type FieldRule, type MappingFile, messageTypes, presenceTypes, type StanzaKind } from './language.ts';

type Json = { [key: string]: unknown };

/** What each channel is for, where the mappings do not say it. */
const channelTexts: Record<string, string> = {
  message: 'Messages with a body or a subject.',
  receipt: 'That a message has arrived or has been displayed.',
  chatstate: 'What somebody is doing; not kept if nobody is there.',
  stanza: 'Messages that belong on none of the other channels.',
};

const ref = (path: string) => ({ $ref: `#/${path}` });
const text = (description: string) => ({ type: 'string', description });

/** The schema of a field's value. */
function schemaOf(field: FieldRule): Json {
  const about = field.about === '' ? {} : { description: field.about };
  if (field.as === 'flag') return { type: 'boolean', ...about };
  if (field.as === 'integer') return { type: 'integer', ...about };
  if (field.as === 'time') return { type: 'string', format: 'date-time', ...about };
  if (field.as === 'list') return { type: 'array', items: { type: 'string' }, ...about };
  if (field.as === 'name') return { type: 'string', enum: field.path.steps.at(-1)?.names, ...about };
  return { type: 'string', ...about };
}

const properties = (rules: FieldRule[]) => Object.fromEntries(rules.map((field) => [field.name, schemaOf(field)]));
const fieldsOf = (files: MappingFile[], stanza: StanzaKind) =>
  files.filter((file) => file.stanza === stanza).flatMap((file) => file.fields);

/** Presence of others: of one resource (QoS 0), of all (`contacts`, QoS 0), or about a subscription (`key`, QoS 1). */
function presencePayloads(files: MappingFile[]): Json {
  const fields = fieldsOf(files, 'presence');
  const xml = text('What no mapping knows: elements as XML.');
  const type = { type: 'string', enum: presenceTypes, description: 'Without it: available.' };
  const at = { type: 'string', format: 'date-time', description: 'Since when, or when it came.' };
  const one = { from: text('Whose, with resource.'), to: text('To whom.'), type, ...properties(fields), xml, at };
  return {
    PresenceReceived: {
      type: 'object',
      required: ['at'],
      properties: {
        ...one,
        id: text("On a subscription: the sender's id, or the key."),
        key: text('On a subscription only: to acknowledge it by.'),
        direction: { type: 'string', enum: ['received', 'sent'] },
        copy: { type: 'boolean', description: 'On a subscription: the server, or another device, has it as well.' },
        contacts: {
          type: 'array',
          description: 'All that are there now: it replaces whatever the app knew before.',
          items: { type: 'object', required: ['from', 'at'], properties: one },
        },
        complete: { type: 'boolean', description: 'With contacts: false where there were too many to be kept.' },
      },
    },
    DevicePresence: {
      type: 'object',
      required: ['online'],
      properties: {
        online: { type: 'boolean', description: 'False in the will, and before a clean DISCONNECT.' },
        show: { type: 'string', enum: shows, description: 'Without it: simply available.' },
        text: { ...text('What the user says about it.'), maxLength: 1024 },
      },
    },
    PresenceSent: {
      type: 'object',
      required: ['id', 'to'],
      additionalProperties: false,
      properties: {
        id: { ...text("The app's own id: repeat with the same one until in/ack names it."), maxLength: 256 },
        to: text('To whom; what concerns a subscription goes to the bare address.'),
        type,
        ...properties(fields.filter((field) => !field.onlyIn)),
        xml,
      },
    },
  };
}

function payloads(files: MappingFile[]): Json {
  const fields = fieldsOf(files, 'message');
  const type = { type: 'string', enum: messageTypes };
  const xml = text('What no mapping knows: elements as XML.');
  return {
    Received: {
      type: 'object',
      required: ['key', 'from', 'at', 'direction'],
      properties: {
        key: text('The same on every repeat: apps drop repeats and acknowledge by it.'),
        id: text("The sender's id."),
        from: text('Who sent it.'),
        to: text('To whom.'),
        type,
        at: { type: 'string', format: 'date-time', description: "The message's own time." },
        direction: { type: 'string', enum: ['received', 'sent'] },
        copy: { type: 'boolean', description: 'Another device has it as well.' },
        ...properties(fields),
        xml,
      },
    },
    Sent: {
      type: 'object',
      required: ['to'],
      additionalProperties: false,
      properties: {
        id: {
          ...text("The app's own id: repeat with the same one until in/ack names it. Only chat states may go without."),
          maxLength: 256,
        },
        to: text('To whom.'),
        type: { ...type, description: '`chat` is the usual one; without it: normal.' },
        ...properties(fields.filter((field) => !field.onlyIn)),
        xml,
      },
    },
    ...presencePayloads(files),
    ...requestPayloads,
    Acknowledged: {
      type: 'object',
      required: ['ids'],
      properties: { ids: { type: 'array', items: { type: 'string' } } },
    },
    Stored: {
      type: 'object',
      required: ['keys', 'device'],
      properties: { keys: { type: 'array', items: { type: 'string' } }, device: text('The MQTT client id.') },
    },
    Refused: {
      type: 'object',
      required: ['condition', 'text'],
      properties: {
        id: text('Of what was refused.'),
        condition: text('The reason as a word.'),
        text: text('The reason in words.'),
        key: text("On a contact's error: to acknowledge it by."),
        from: text("On a contact's error: whose."),
      },
    },
  };
}

/** One topic per channel and direction; `schema` names the payload. */
interface Topic {
  name: string;
  topic: string;
  schema: string;
  qos: 0 | 1;
  about: string;
  retain?: true;
}

function topics(mappings: Mappings): Topic[] {
  const both = [...mappings.channels].flatMap(([channel, qos]) =>
    (['in', 'out'] as const).map((way) => ({
      name: `${way}-${channel}`,
      topic: `${way}/${channel}`,
      schema: way === 'in' ? 'Received' : 'Sent',
      qos,
      about: channelTexts[channel] ?? `Messages with the elements of the channel ${channel}.`,
    })),
  );
  return [
    ...both,
    {
      name: 'in-presence',
      topic: 'in/presence',
      schema: 'PresenceReceived',
      qos: 1,
      about: 'Who is there (QoS 0), and what others ask or say about subscriptions (QoS 1).',
    },
    {
      name: 'out-presence',
      topic: 'out/presence',
      schema: 'PresenceSent',
      qos: 1,
      about: 'Presence for one address, and subscriptions. The own presence for all is at presence/{clientId}.',
    },
    {
      name: 'device-presence',
      topic: 'presence/{clientId}',
      schema: 'DevicePresence',
      qos: 1,
      retain: true,
      about: 'Whether this device is there, and the own presence for everybody; also its will.',
    },
    { name: 'in-ack', topic: 'in/ack', schema: 'Acknowledged', qos: 1, about: 'The gateway has these on disk.' },
    {
      name: 'in-error',
      topic: 'in/error',
      schema: 'Refused',
      qos: 1,
      about: 'What was refused, by the gateway or by a contact.',
    },
    { name: 'out-ack', topic: 'out/ack', schema: 'Stored', qos: 1, about: 'The app has stored these.' },
    ...requestTopics,
  ];
}

/** The document as a plain object, seen from the gateway: it sends on `in/` and receives on `out/`. */
export function asyncapi(files: MappingFile[], mappings: Mappings, version: string): Json {
  const all = topics(mappings);
  const each = <T>(make: (topic: (typeof all)[number]) => T) =>
    Object.fromEntries(all.map((topic) => [topic.name, make(topic)]));
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Crossfade',
      version,
      description: 'What apps send and receive over MQTT. The first level of the topics, `chat`, is configurable.',
    },
    defaultContentType: 'application/json',
    channels: each(({ name, topic, about }) => ({
      address: `chat/{user}/${topic}`,
      description: about,
      parameters: {
        user: { description: 'The local part of the JID, percent-encoded; it is the MQTT user name.' },
        ...(topic.includes('{clientId}') && { clientId: { description: 'The MQTT client id.' } }),
      },
      messages: { [name]: ref(`components/messages/${name}`) },
    })),
    operations: each(({ name, topic, qos, retain = false }) => ({
      action: topic.startsWith('in/') ? 'send' : 'receive',
      channel: ref(`channels/${name}`),
      bindings: { mqtt: { qos, retain } },
    })),
    components: {
      messages: each(({ schema }) => ({ payload: ref(`components/schemas/${schema}`) })),
      schemas: payloads(files),
    },
  };
}
