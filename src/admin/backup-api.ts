// The ledger's backup on the admin side: begin one, and see how it goes.

import type { BackupState } from '../ledger/backup.ts';
import { refuse } from '../refusal.ts';
import { count, type Route, rfc3339, shape, text, time } from './route.ts';

export interface BackupParts {
  backups: { begin(file: string): BackupState | string; readonly last: BackupState | undefined };
}

const path = '/api/v1/ledger/backup';
const backupShape = shape(
  {
    state: { type: 'string', enum: ['copying', 'checking', 'done', 'failed'] },
    file: text,
    at: { ...time, description: `When it began (${time.description}).` },
    pages: { ...count, description: 'Copied so far.' },
    ofPages: count,
    bytes: count,
    entries: count,
    tookMs: count,
    text: { type: 'string', description: 'Why it failed.' },
  },
  ['bytes', 'entries', 'tookMs', 'text'],
);

const view = (state: BackupState) => ({ ...state, at: rfc3339(state.at) });

export function backupRoutes({ backups }: BackupParts): Route[] {
  return [
    {
      method: 'POST',
      path,
      summary: "Begins to copy the ledger to a new file on the gateway's machine, while messages go on.",
      body: shape({
        file: { type: 'string', minLength: 1, maxLength: 4096, description: 'Absolute; must not be there.' },
      }),
      answers: { 202: { description: 'It is under way.', schema: backupShape } },
      handle({ body }) {
        const begun = backups.begin(String(body.file));
        return typeof begun === 'string' ? refuse('not-acceptable', begun) : { status: 202, body: view(begun) };
      },
    },
    {
      method: 'GET',
      path,
      summary: 'How the last backup goes, or went, since the gateway was started.',
      answers: { 200: { description: 'The backup.', schema: backupShape } },
      handle: () =>
        backups.last
          ? { status: 200, body: view(backups.last) }
          : refuse('item-not-found', 'no backup was made since the start'),
    },
  ];
}
