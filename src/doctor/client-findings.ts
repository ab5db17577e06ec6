// What a server without our module means for an operator (attach: client): its port for clients, and what an account finds behind its login. Pure.

import type { AccountFacts } from '../xmpp/client-examination.ts';
import type { Closed } from '../xmpp/client-stream.ts';
import { type Finding, ok } from './finding.ts';

/** As for the module's sessions: an evening's outage is longer than most servers keep a session, five minutes are a restart. */
const shortResumeSeconds = 300;

type Ended = Closed['by'];

/** By what ended the stream. */
const todos: Record<Ended, string> = {
  unreachable: 'xmpp.client: host and port must be those of the server for clients; is it running?',
  insecure:
    'xmpp.client.caFile: the certificate’s authority, where it is none that everybody knows; the certificate must be for xmpp.domain',
  auth: 'xmpp.client.credentials: is it the password of this account?',
  'stream-error':
    'xmpp.domain must be a host of this server; where it counts failed logins by address, it must leave ours out (ejabberd: access of mod_fail2ban)',
  connection: "xmpp.client: host and port must be those of the server for clients; the server's log may say more",
  us: "look into the server's log",
};

/** What the source of credentials gives. */
export interface ClientsWanted {
  given: 'password' | 'token' | 'either';
  isSecure: boolean;
}

/** What a client finds at the port for clients (attach: client), before it logs in. */
export function clientFindings(facts: ClientFacts, wanted: ClientsWanted): Finding[] {
  const id = 'server.clients';
  if (!('mechanisms' in facts))
    return [
      {
        ...{ id, level: 'fault', what: `clients cannot connect to ${facts.address}: ${facts.text}` },
        why: 'no moved user can be held on the server',
        todo: todos[facts.by],
      },
    ];
  const { address, mechanisms } = facts;
  if (mechanisms.some((name) => mayLogIn(name, wanted)))
    return [ok(id, `clients connect to ${address}, with ${mechanisms.join(', ')}`)];
  return [
    {
      ...{
        id,
        level: 'fault',
        what: `the server offers no login for ${wants[wanted.given]}, only: ${mechanisms.join(', ') || 'none'}`,
      },
      why: 'no moved user can be held on the server',
      todo:
        wanted.given === 'token'
          ? 'ejabberd: take X-OAUTH2 out of disable_sasl_mechanisms (it needs erlang-p1-oauth2); tokens go over TLS only'
          : 'offer SCRAM-SHA-256 or SCRAM-SHA-1, or PLAIN over TLS',
    },
  ];
}

const wants = { password: 'a password', token: 'a token (X-OAUTH2)', either: 'a password or a token' };

/** As xmpp/sasl chooses. */
function mayLogIn(mechanism: string, { given, isSecure }: ClientsWanted): boolean {
  if (mechanism === 'X-OAUTH2') return given !== 'password' && isSecure;
  return given !== 'token' && (/^SCRAM-SHA-(1|256)$/.test(mechanism) || (mechanism === 'PLAIN' && isSecure));
}

export type ClientFacts = { address: string } & ({ mechanisms: string[] } | { text: string; by: Ended });

/** `fault`: the credential or the login failed; `by`: what ended the stream, absent where there was none. No facts: nobody was named. */
export function accountFindings(
  user: string | undefined,
  facts?: AccountFacts | { fault: string; by?: Ended },
): Finding[] {
  const id = 'server.account';
  if (user === undefined || facts === undefined)
    return [
      {
        ...{ id, level: 'unknown', what: 'no login of a user was tried' },
        why: 'resumption of sessions and the archive show only behind a login',
        todo: 'crossfade check --live --user JID (with the credential that the gateway would use)',
      },
    ];
  if ('fault' in facts)
    return [
      {
        ...{ id, level: 'fault', what: `${user} cannot log in: ${facts.fault}` },
        why: 'the user cannot be moved, or held where it is moved already',
        todo: facts.by
          ? todos[facts.by]
          : 'xmpp.client.credentials, or the JID: see docs/servers/any.md, "Credentials"',
      },
    ];
  return [ok(id, `${user} logs in`), resumption(facts), archive(user, facts)];
}

function resumption({ resumes, resumeSeconds }: AccountFacts): Finding {
  const id = 'server.resume-timeout';
  if (!resumes)
    return {
      ...{ id, level: 'fault', what: 'sessions cannot be resumed (XEP-0198)' },
      why: 'without it no message is acknowledged to the server: the gateway refuses to hold users there',
      todo: 'enable `smacks` (Prosody) or `mod_stream_mgmt` (ejabberd)',
    };
  if (resumeSeconds === undefined) return ok(id, 'sessions can be resumed; for how long the server does not tell');
  const what = `sessions stay for ${resumeSeconds} s while the gateway is away`;
  if (resumeSeconds >= shortResumeSeconds) return ok(id, what);
  return {
    ...{ id, level: 'warning', what },
    why: 'after that all sessions end and are made again at its return, and what came meanwhile is only in the archive',
    todo: 'smacks_hibernation_time = 600 (Prosody), or resume_timeout: 600 of mod_stream_mgmt (ejabberd)',
  };
}

function archive(user: string, facts: AccountFacts): Finding {
  const id = 'server.archive';
  if (facts.archive) return ok(id, `${user} has an archive (XEP-0313)`);
  return {
    ...{ id, level: 'warning', what: `${user} has no archive (XEP-0313)` },
    why: 'what comes while no session is there cannot be asked for: `gateway.gap` says so',
    todo: 'enable `mam` with `default_archive_policy = true` (Prosody) or `mod_mam` with `default: always` (ejabberd)',
  };
}
