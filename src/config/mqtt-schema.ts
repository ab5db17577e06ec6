// The keys of the MQTT side.

import { duration, folder } from './node.ts';

const topicRoot = '^[^+#/$\\u0000][^+#/\\u0000]*(/[^+#/\\u0000]+)*$';

export const mqtt = folder(
  'The MQTT broker.',
  {
    url: {
      type: 'string',
      description: 'Where it listens. `embedded:` starts a small broker inside the gateway, for trying out only.',
      pattern: '^(?:(?:mqtts?|wss?)://[^\\s/]+(?:/\\S*)?|embedded:)$',
      hint: 'mqtt://host:1883, mqtts://host:8883, ws://host:port/path, wss://… or embedded:',
    },
    username: {
      type: 'string',
      description: "The gateway's own account. A user whose topics would bear this name cannot be moved.",
      minLength: 1,
      default: 'crossfade',
    },
    password: { type: 'string', description: 'Its password.', inFile: true },
    ca: { type: 'string', description: 'Certificate authorities to trust, PEM.', inFile: true },
    cert: { type: 'string', description: "The gateway's certificate, PEM.", inFile: true },
    key: { type: 'string', description: 'Its private key, PEM.', inFile: true },
    clientId: {
      type: 'string',
      description: "The beginning of the gateway's client ids; two gateways on one broker need two.",
      default: 'crossfade',
      pattern: '^[A-Za-z0-9_-]{1,48}$',
      hint: 'up to 48 letters, digits, - and _',
    },
    root: {
      type: 'string',
      description: 'The first level of all topics.',
      default: 'chat',
      pattern: topicRoot,
      hint: 'a topic without wildcards',
    },
    shadowRoot: {
      type: 'string',
      description:
        'The same for copies of users in phase shadow, for comparison only; with bodies, so let only operators read there.',
      default: 'chat-shadow',
      pattern: topicRoot,
      hint: 'a topic without wildcards',
    },
    brokerHorizon: duration(
      'How long after its PUBACK a message may be lost by a broker that crashes: twice the time between its snapshots. `10s` only with an autosave_interval of 5.',
      '500ms, 10s, 5m, 1h or 7d',
      '1h',
    ),
    offlineWindow: {
      type: 'integer',
      description:
        'Messages per user that are handed to the broker while no device is online; the rest waits in the ledger.',
      default: 500,
      minimum: 1,
      maximum: 100_000,
    },
    messagesPerSecond: {
      type: 'integer',
      description:
        'Messages a second that the apps of one user may go on sending; more are refused with `resource-constraint` on `in/error`, with when to send them again. Acknowledgements (`out/ack`) do not count.',
      default: 50,
      minimum: 1,
      maximum: 100_000,
    },
    messagesBurst: {
      type: 'integer',
      description: 'Messages that the apps of one user may send at once, before `messagesPerSecond` counts.',
      default: 2000,
      minimum: 1,
      maximum: 1_000_000,
    },
    messagesWaiting: {
      type: 'integer',
      description:
        "Messages of one user's apps that may wait in the ledger for the legacy server (what it refused and nobody has decided about counts, too); more are refused with `resource-constraint` on `in/error` until some have left.",
      default: 50_000,
      minimum: 1,
      maximum: 10_000_000,
    },
    deviceDays: {
      type: 'integer',
      description: 'Days of silence after which a device is forgotten.',
      default: 30,
      minimum: 1,
      maximum: 3650,
    },
    embeddedPort: {
      type: 'integer',
      description: 'Only with `embedded:`: the port on 127.0.0.1 on which the apps find it.',
      default: 1883,
      minimum: 0,
      maximum: 65535,
    },
    embeddedAccounts: {
      type: 'array',
      description: 'Only with `embedded:`: the accounts of the apps; the name is the user level of their topics.',
      items: { type: 'string', pattern: '^[A-Za-z0-9_%-]+:.+$' },
      uniqueItems: true,
      default: [],
      hint: 'a list of name:password',
    },
    allowOpenBroker: {
      type: 'boolean',
      description: 'Start although the broker takes publishes under the root from anybody.',
      default: false,
    },
  },
  ['url'],
);
