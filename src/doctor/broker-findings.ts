// What the facts about the broker mean for an operator. Pure.

import type { AppFacts, BrokerFacts } from '../mqtt/examination.ts';
import { shownUrl } from '../mqtt/fault.ts';
import type { QueueTrial } from '../mqtt/queue-trial.ts';
import { type Finding, ok } from './finding.ts';
import { weaknessesOf } from './weaknesses.ts';

/** As the configuration has it. */
export interface BrokerWanted {
  url: string;
  root: string;
  username: string;
  maxStanzaBytes: number;
  /** The app's account that was tried. */
  app?: string;
}

const printed = 'crossfade check --print-config mosquitto prints the lines';

export function brokerFindings(facts: BrokerFacts, wanted: BrokerWanted): Finding[] {
  if (facts.fault !== undefined) {
    const what = `the account ${wanted.username} cannot log in at ${shownUrl(wanted.url)}: ${facts.fault}`;
    const why = 'nothing can be published or received';
    return [{ id: 'broker.login', level: 'fault', what, why, todo: loginTodo(facts.isRefused) }];
  }
  return [
    ok('broker.login', `the account ${wanted.username} is in, over MQTT ${facts.mqtt5 ? '5' : '3.1.1'}`),
    ...version(facts),
    ...(facts.mqtt5 ? [] : [oldProtocol]),
    facts.hasUptime ? ok('broker.uptime', '$SYS/broker/uptime can be read') : noUptime(wanted),
    size(facts, wanted),
    openness(facts, wanted),
    rights(facts, wanted),
    ...(facts.app ? appRights(facts.app, wanted) : [noApp]),
    persistence,
  ];
}

/** By what kept the gateway out: the broker's word, or what is between us and it. */
const loginTodo = (isRefused = false) =>
  isRefused
    ? 'mqtt.username and mqtt.password must be an account of the broker (Mosquitto: mosquitto_passwd)'
    : 'mqtt.url must be the address of a broker that runs: mqtts:// where its port speaks TLS, mqtt:// where it does not';

const oldProtocol: Finding = {
  id: 'broker.protocol',
  level: 'warning',
  what: 'the broker does not take MQTT 5',
  why: 'a publish that it denies, or that nobody has subscribed to, looks like a good one: messages for users without a device online are parked in the ledger',
  todo: 'use a broker with MQTT 5, such as Mosquitto 2',
};
const noApp: Finding = {
  id: 'broker.app',
  level: 'unknown',
  what: 'the rights of apps were not tried',
  why: 'the sender of a message is read from its topic: an app that may write to other topics can write in anybody’s name',
  todo: 'CROSSFADE_APP_PASSWORD=… crossfade check --live --app NAME (the user name of one app at the broker)',
};
/** No client can ask a broker for it, and only a restart would show it. */
const persistence: Finding = {
  id: 'broker.persistence',
  level: 'unknown',
  what: 'whether the broker keeps sessions and messages on its disk is not visible from outside: $SYS has no word of it',
  why: 'without, a restart forgets who has subscribed and what waits for them; Crossfade notices by $SYS and publishes again what is not settled',
  todo: `look for persistence true and autosave_interval 5 in mosquitto.conf: ${printed}`,
};

/** How long the queue of a client is that is away, as tried. Absent: it could not be tried. */
export function queueFindings(
  trial: QueueTrial | { fault: string },
  { offlineWindow }: { offlineWindow: number },
): Finding[] {
  const id = 'broker.queue';
  if ('fault' in trial)
    return [
      { id, level: 'unknown', what: `how many messages the broker keeps for a client that is away: ${trial.fault}` },
    ];
  const { taken, kept } = trial;
  if (kept >= taken) return [ok(id, `the broker keeps ${taken} messages for a client that is away`)];
  const isTooFew = kept < offlineWindow;
  return [
    {
      id,
      level: isTooFew ? 'fault' : 'warning',
      what: `the broker keeps only ${kept} messages for a client that is away, and drops the rest with a good PUBACK (${taken} were tried)`,
      why: isTooFew
        ? `Crossfade hands it up to mqtt.offlineWindow = ${offlineWindow} for a user whose app is away; what it drops comes late, and to an app that never acknowledges perhaps not at all`
        : 'what all apps send while the gateway is away stands in one such queue; what does not fit is gone until the apps say it again',
      todo: `max_queued_messages 100000 in mosquitto.conf (the default is 1000): ${printed}`,
    },
  ];
}

function version({ version }: BrokerFacts): Finding[] {
  if (version === undefined)
    return [
      {
        id: 'broker.software',
        level: 'unknown',
        what: 'the broker does not tell its name and release ($SYS/broker/version)',
      },
    ];
  const [name = '', release = ''] = version.replace(/ version /, ' ').split(' ');
  return [ok('broker.software', version), ...weaknessesOf('broker', name, release)];
}

function noUptime({ username }: BrokerWanted): Finding {
  return {
    ...{ id: 'broker.uptime', level: 'warning', what: '$SYS/broker/uptime cannot be read' },
    why: 'whether the broker was restarted cannot be told: every reconnect counts as a restart, and all that is not settled is published again (with the same key)',
    todo: `user ${username} … topic read $SYS/#, in the acl_file`,
  };
}

function size({ maximumPacketSize }: BrokerFacts, { maxStanzaBytes }: BrokerWanted): Finding {
  const id = 'broker.packet-size';
  if (maximumPacketSize === undefined) return ok(id, 'no largest packet is named');
  if (maximumPacketSize >= 2 * maxStanzaBytes) return ok(id, `packets of ${maximumPacketSize} bytes are taken`);
  return {
    ...{ id, level: 'warning', what: `packets of at most ${maximumPacketSize} bytes are taken` },
    why: `a stanza of xmpp.maxStanzaBytes = ${maxStanzaBytes} may be twice as large as JSON; what is larger is dead, with in/error to nobody`,
    todo: `max_packet_size ${4 * maxStanzaBytes} in mosquitto.conf`,
  };
}

function openness({ isOpen }: BrokerFacts, { root }: BrokerWanted): Finding {
  const id = 'broker.anonymous';
  if (isOpen === undefined)
    return { id, level: 'unknown', what: 'the broker does not tell whether it takes publishes of anybody' };
  if (!isOpen) return ok(id, 'nobody may publish without an account');
  return {
    ...{ id, level: 'fault', what: `anybody may publish under ${root}/` },
    why: 'the sender of a message is read from its topic, so nobody’s sender could be believed; `crossfade run` refuses to start',
    todo: `allow_anonymous false and an acl_file: ${printed}`,
  };
}

function rights({ gateway }: BrokerFacts, { root, username }: BrokerWanted): Finding {
  const missing = Object.entries(gateway).flatMap(([kind, may]) => (may ? [] : [`${root}/+/${kind}/#`]));
  if (missing.length === 0)
    return ok('broker.rights', `the account ${username} may read and write everything under ${root}/`);
  return {
    ...{
      id: 'broker.rights',
      level: 'fault',
      what: `the account ${username} may not both write and read ${missing.join(' and ')}`,
    },
    why: 'messages would be lost in silence, or never come',
    todo: `user ${username} … topic readwrite ${root}/#, in the acl_file: ${printed}`,
  };
}

function appRights(app: AppFacts, { root, app: name = '' }: BrokerWanted): Finding[] {
  const todo = `the patterns for apps, and no other rights for them: ${printed}`;
  if (app.fault !== undefined)
    return [
      {
        id: 'broker.app',
        level: 'fault',
        what: `the app ${name} cannot log in: ${app.fault}`,
        why: 'whether apps are kept to their own topics was not tried',
        todo: 'is NAME an account of the broker, and CROSSFADE_APP_PASSWORD its password? (Mosquitto: mosquitto_passwd)',
      },
    ];
  const found: Finding[] = [];
  if (app.writesForeign.length > 0)
    found.push({
      ...{ id: 'broker.app', level: 'fault', what: `the app ${name} may write to ${app.writesForeign.join(', ')}` },
      why: 'it can write in the name of others, or of the gateway',
      todo,
    });
  if (app.readsOthers)
    found.push({
      ...{ id: 'broker.app', level: 'fault', what: `the app ${name} may read what is for others (${root}/+/in/#)` },
      why: 'every message of everybody is open to it',
      todo,
    });
  const narrow = [
    ...(app.readsOwn ? [] : [`read ${root}/${name}/in/#`]),
    ...(app.writesOwn ? [] : [`write ${root}/${name}/out/#`]),
  ];
  if (narrow.length > 0)
    found.push({
      ...{ id: 'broker.app', level: 'fault', what: `the app ${name} may not ${narrow.join(', nor ')}` },
      why: 'it gets nothing, or nothing of it arrives',
      todo,
    });
  return found.length > 0
    ? found
    : [ok('broker.app', `the app ${name} may read and write its own topics and no others`)];
}
