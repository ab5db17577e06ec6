// out/request and in/reply as the AsyncAPI document has them: what users of the component's own domain ask the gateway, which is their server.

type Json = { [key: string]: unknown };

const text = (description: string) => ({ type: 'string', description });
const flag = (description: string) => ({ type: 'boolean', description });

const avatar = {
  type: ['object', 'null'],
  description: 'At most 65,536 bytes.',
  required: ['type', 'data'],
  properties: {
    type: { type: 'string', enum: ['image/png', 'image/jpeg', 'image/gif', 'image/webp'] },
    data: text('Base64.'),
  },
};
const profile = {
  type: 'object',
  properties: {
    ...Object.fromEntries(
      ['name', 'about', 'url', 'email', 'organization'].map((field) => [field, { type: ['string', 'null'] }]),
    ),
    avatar,
  },
};
const contact = {
  type: 'object',
  required: ['jid', 'subscription'],
  properties: {
    jid: text('Bare.'),
    subscription: { type: 'string', enum: ['none', 'to', 'from', 'both'] },
    asks: flag('The contact waits for an answer.'),
    approved: flag('Its request will be granted when it comes.'),
    asked: flag('The user waits for an answer.'),
  },
};

export const requestPayloads: Json = {
  Request: {
    type: 'object',
    required: ['id', 'request'],
    additionalProperties: false,
    properties: {
      id: { ...text("The app's own id: the reply has it, too."), maxLength: 256 },
      request: { type: 'string', enum: ['roster', 'profile'] },
      after: text('With roster: `next` of the reply before.'),
      set: { ...profile, description: 'With profile: the fields to be changed; null takes one away.' },
    },
  },
  Reply: {
    type: 'object',
    required: ['id', 'request'],
    properties: {
      id: text('Of the request.'),
      request: text('What was asked.'),
      contacts: { type: 'array', description: 'Of roster, ordered by address.', items: contact },
      next: text('Of roster: there are more; ask for those `after` this one.'),
      profile: { ...profile, description: 'Of profile: as it is now.' },
    },
  },
};

export const requestTopics = [
  {
    name: 'out-request',
    topic: 'out/request',
    schema: 'Request',
    qos: 1,
    about: "Only for users of the component's own domain: what their server keeps for them.",
  },
  {
    name: 'in-reply',
    topic: 'in/reply',
    schema: 'Reply',
    qos: 1,
    about: 'The answer to a request. It has no key: one that was lost is asked for again.',
  },
] as const;
