// What the facts about the legacy server mean for an operator. Pure.

import type { ServerFacts } from '../xmpp/examination.ts';
import { type Finding, ok } from './finding.ts';
import { weaknessesOf } from './weaknesses.ts';

/** As the configuration has it. */
export interface ServerWanted {
  /** The users' domain. */
  domain: string;
  /** The component's. */
  component: string;
  maxStanzaBytes: number;
  attach: 'module' | 'client';
}

type About = Record<string, string | undefined>;

const moduleVersion = '1';
/** An hour away is an evening's outage; below that a restart of the gateway may cost the sessions. */
const shortResumeSeconds = 300;
const smallQueue = 1000;
/** Debian's ejabberd keeps 100 offline messages of a user. */
const smallOffline = 1000;
const clockToleranceMs = 2_000;

export function serverFindings(facts: ServerFacts, wanted: ServerWanted): Finding[] {
  const { about } = facts;
  const isSaid = (said: ServerFacts['about']): said is About => 'v' in said;
  return [
    software(facts),
    ...(facts.software ? weaknessesOf('server', facts.software.name, facts.software.release) : []),
    clock(facts),
    ...(wanted.attach === 'client' ? [carbonsOf(facts)] : [serverModule(facts, wanted)]),
    ...(wanted.attach === 'module' && isSaid(about) ? settings(about, wanted) : []),
  ];
}

function software({ software }: ServerFacts): Finding {
  if (software) return ok('server.software', `${software.name} ${software.release}`.trim());
  return {
    id: 'server.software',
    level: 'unknown',
    what: 'the server does not tell its name and release',
    why: 'known weaknesses of it cannot be looked up',
    todo: 'enable `version` (Prosody) or `mod_version` (ejabberd), if you like',
  };
}

function clock({ clockAheadMs }: ServerFacts): Finding {
  const id = 'server.clock';
  if (clockAheadMs === undefined)
    return {
      id,
      level: 'unknown',
      what: 'the server does not tell its time',
      why: 'whether its clock agrees with ours, by which a gap in the archive is asked for, is not known',
      todo: 'enable `time` (Prosody) or `mod_time` (ejabberd)',
    };
  const seconds = `${(Math.abs(clockAheadMs) / 1000).toFixed(1)} s`;
  if (Math.abs(clockAheadMs) <= clockToleranceMs) return ok(id, `the clocks agree (${seconds} apart)`);
  return {
    id,
    level: 'warning',
    what: `the server's clock is ${seconds} ${clockAheadMs > 0 ? 'ahead of' : 'behind'} this machine's`,
    why: 'times of offline messages and of the archive are the server’s: messages stand in the wrong order, and a gap may be asked for by the wrong time',
    todo: 'let both machines keep their time by NTP',
  };
}

/** Without the module only this is told before somebody logs in. */
function carbonsOf({ features }: ServerFacts): Finding {
  const [attribute, what, why, todo] = switches[0]!;
  const id = `server.${attribute}`;
  return features.has('urn:xmpp:carbons:2')
    ? ok(id, `${what}: there`)
    : { id, level: 'warning', what: `${what}: not announced by the host`, why, todo };
}

function serverModule({ about }: ServerFacts, { domain, component }: ServerWanted): Finding {
  const id = 'server.module';
  if ('v' in about) {
    if (about.v === moduleVersion) return ok(id, `crossfade_attach speaks version ${about.v} of the attach protocol`);
    return {
      ...{
        id,
        level: 'fault',
        what: `crossfade_attach speaks version ${about.v} of the attach protocol, this gateway version ${moduleVersion}`,
      },
      why: 'no user can be moved',
      todo: 'install the server module that came with this release of Crossfade',
    };
  }
  const { condition = '', text = '' } = about;
  if (condition === 'forbidden')
    return {
      ...{ id, level: 'fault', what: `the server does not let ${component} attach sessions` },
      why: 'no user can be moved',
      todo: `Prosody, on VirtualHost "${domain}": crossfade_components = { "${component}" }; ejabberd, mod_crossfade_attach of ${domain}: component: ${component}`,
    };
  if (condition === 'service-unavailable' || condition === 'feature-not-implemented')
    return {
      ...{ id, level: 'fault', what: `crossfade_attach is not loaded for ${domain}, or is older than this gateway` },
      why: 'no user of the domain can be moved; addresses on the component’s own domain work',
      todo: 'crossfade check --print-config prosody (or ejabberd) prints the lines; server-modules/ has the module',
    };
  return {
    id,
    level: 'fault',
    what: `the server does not answer for ${domain}: ${[condition, text].filter(Boolean).join(', ')}`,
    why: 'no user can be moved',
    todo: 'is xmpp.domain right, and is it a host of this server?',
  };
}

/** What should be on, by the attribute that says so. */
const switches: [attribute: string, what: string, why: string, todo: string][] = [
  [
    'carbons',
    'carbons (XEP-0280)',
    'without them what legacy devices of a moved user send does not come to the app',
    'enable `carbons` (Prosody) or `mod_carboncopy` (ejabberd)',
  ],
  [
    'archive',
    'an archive of every account (XEP-0313)',
    'without it what is missed in an outage of the server cannot be asked for, and `gateway.gap` says so',
    'enable `mam` with `default_archive_policy = true` (Prosody) or `mod_mam` with `default: always` (ejabberd)',
  ],
  [
    'offline',
    'offline storage',
    'without it a rollback cannot hand back what waits while no legacy client is there',
    'enable `offline` (Prosody) or `mod_offline` (ejabberd)',
  ],
  [
    'smacks',
    'stream management for clients (XEP-0198)',
    'legacy clients on bad lines lose what is sent to them, with or without Crossfade',
    'enable `smacks` (Prosody) or `mod_stream_mgmt` (ejabberd)',
  ],
];

interface Limit {
  attribute: string;
  least: number;
  what: (n: number) => string;
  why: string;
  todo: string;
}

const limits = (maxStanzaBytes: number): Limit[] => [
  {
    attribute: 'resume-timeout',
    least: shortResumeSeconds,
    what: (n) => `sessions stay for ${n} s while the gateway is away`,
    why: 'after that all sessions end, and are made again at its return: contacts see everybody leave and come back',
    todo: 'crossfade_resume_timeout = 3600',
  },
  {
    attribute: 'max-unacked',
    least: smallQueue,
    what: (n) => `${n} stanzas may wait for the gateway`,
    why: 'what does not fit goes to legacy clients, offline storage or the archive, and comes later',
    todo: 'crossfade_max_unacked = 20000',
  },
  {
    attribute: 'offline-limit',
    least: smallOffline,
    what: (n) => `offline storage keeps ${n} messages of a user`,
    why: 'a rollback that hands back more has to wait until a legacy client fetches what is there; meanwhile those who write to the user get an error',
    todo: 'ejabberd, shaper_rules: max_user_offline_messages: 100000; Prosody: storage_archive_item_limit = 100000',
  },
  {
    attribute: 'stanza-limit',
    least: 2 * maxStanzaBytes,
    what: (n) => `the component connection takes stanzas of ${n} bytes`,
    why: `an app may cause one of xmpp.maxStanzaBytes = ${maxStanzaBytes}, and its envelope comes on top; one that is too large ends the whole connection`,
    todo: 'Prosody, global section: component_stanza_size_limit = 1024 * 1024; ejabberd, component listener: max_stanza_size: 1048576',
  },
];

function settings(about: About, { component, maxStanzaBytes }: ServerWanted): Finding[] {
  const found: Finding[] = switches.map(([attribute, what, why, todo]) => {
    const id = `server.${attribute}`;
    return about[attribute] === '1'
      ? ok(id, `${what}: there`)
      : { id, level: 'warning', what: `${what}: not there`, why, todo };
  });
  for (const { attribute, least, what, why, todo } of limits(maxStanzaBytes)) {
    // Absent: the server cannot know it.
    const n = Number(about[attribute] ?? Number.NaN);
    const id = `server.${attribute}`;
    if (n >= least) found.push(ok(id, what(n)));
    else if (n < least) found.push({ id, level: 'warning', what: what(n), why, todo });
  }
  found.push(otherServers(about, component));
  return about.name === 'Prosody' ? [...found, ...prosodyHalves(about, component)] : found;
}

function otherServers({ s2s }: About, component: string): Finding {
  const id = 'server.s2s';
  if (s2s !== '1') return ok(id, `while the gateway is away nobody looks for ${component} among other servers`);
  return {
    ...{
      id,
      level: 'warning',
      what: `while the gateway is away the server looks for ${component} among other servers`,
    },
    why: 'what is for addresses of that domain may go to whoever answers for the name',
    todo: 'crossfade check --print-config ejabberd prints an s2s_access rule that denies it',
  };
}

function prosodyHalves({ announces, replaces }: About, component: string): Finding[] {
  const found: Finding[] = [];
  if (announces !== '1')
    found.push({
      ...{
        id: 'server.component-half',
        level: 'fault',
        what: `crossfade_attach is not enabled on the Component "${component}"`,
      },
      why: 'without it the server does not notice that the gateway has gone, and refuses the link',
      todo: `Component "${component}" … modules_enabled = { "crossfade_attach" }`,
    });
  if (replaces !== '1')
    found.push({
      ...{
        id: 'server.conflict',
        level: 'warning',
        what: 'a gateway that was killed is refused until its old connection is noticed to be dead',
      },
      why: 'that can take many minutes',
      todo: `Component "${component}" … component_conflict_resolve = "kick_old"`,
    });
  return found;
}
