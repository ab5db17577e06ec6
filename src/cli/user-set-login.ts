// `crossfade user set --legacy-login`: what becomes of the legacy clients of users in phase mqtt, for single users.

import { type Client, Refused } from './client.ts';
import { CliFault, exitCodes } from './exit.ts';
import { print, printJson } from './output.ts';
import { showProgress } from './progress.ts';
import { type UserSummary, userPath } from './user-view.ts';
import { counted } from './words.ts';

const words: Record<string, string> = {
  allow: 'legacy clients may log in',
  notify: 'legacy clients may log in, and are told once that the account has moved',
  deny: 'legacy clients may not log in while the user is in phase mqtt',
  default: 'what the configuration says about legacy clients counts again',
};
export const loginChoices = Object.keys(words);

/** One after the other; `isQuiet`: a move follows, which prints. Throws a CliFault at the end that names whoever it could not be set for. */
export async function setLogins(
  client: Client,
  jids: string[],
  { legacyLogin, reason, json, isQuiet }: { legacyLogin: string; reason: string; json?: boolean; isQuiet?: boolean },
): Promise<void> {
  const body = { legacyLogin: legacyLogin === 'default' ? null : legacyLogin, reason };
  const users: UserSummary[] = [];
  const failed: string[] = [];
  const progress = showProgress(() => `${users.length} of ${jids.length} done; the same command again does the rest`);
  try {
    for (const jid of jids) {
      progress.show(`legacy login: ${users.length + failed.length} of ${jids.length} …`);
      try {
        users.push((await client.put<UserSummary>(`${userPath(jid)}/legacy-login`, body)).body);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        failed.push(error.message);
      }
    }
  } finally {
    progress.end();
  }
  if (json && !isQuiet) printJson(jids.length === 1 ? users[0] : users);
  else if (users.length > 0 && !isQuiet)
    print(`${users.length === 1 ? users[0]?.jid : counted(users.length, 'user')}: ${words[legacyLogin]}`);
  if (failed.length > 0) throw new CliFault(exitCodes.failed, failed.slice(0, 20).join('\n'));
}
