// Many users at once: what would happen to each, or how each move ended; some under way at a time, one failure stops nobody else.

import { Refused } from './client.ts';
import { CliFault, exitCodes } from './exit.ts';
import type { Ending, Mover } from './mover.ts';
import { note, print, printJson } from './output.ts';
import { showProgress } from './progress.ts';
import { table } from './table.ts';
import type { UserSummary } from './user-view.ts';
import { commandLine, counted, listed } from './words.ts';

interface Options {
  concurrency: number;
  json?: boolean;
  /** Unless it is false, we wait. */
  wait?: boolean;
}

/** What would happen to one user. */
interface Planned {
  jid: string;
  from: string | null;
  would: 'move' | 'already' | 'refused';
  note?: string;
}

/** What has happened to one. */
interface Moved {
  jid: string;
  result: Ending['kind'];
  text?: string;
}

const shownRows = 40;

export async function planMany(mover: Mover, jids: string[], phase: string, options: Options): Promise<void> {
  const rows: Planned[] = [];
  let looked = 0;
  const progress = showProgress(() => 'nothing was changed');
  try {
    await forEach(jids, options.concurrency, async (jid, index) => {
      rows[index] = await planOne(mover, jid, phase);
      progress.show(`looking: ${++looked} of ${jids.length} …`);
    });
  } finally {
    progress.end();
  }
  const refused = rows.filter(({ would }) => would === 'refused');
  if (options.json) printJson({ phase, dryRun: true, users: rows });
  else printPlan(rows, refused, phase);
  if (refused.length > 0)
    throw new CliFault(
      exitCodes.failed,
      `${refused.length} of ${counted(rows.length, 'user')} cannot be moved to ${phase}`,
    );
}

async function planOne(mover: Mover, jid: string, phase: string): Promise<Planned> {
  try {
    const user = await mover.try(jid);
    return { jid: user.jid, from: user.phase, ...whatWould(user, phase) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { jid, from: null, would: 'refused', note: without(jid, error.message) };
  }
}

function whatWould({ version, moving, phase: now }: UserSummary, phase: string): Pick<Planned, 'would' | 'note'> {
  if (version > 0 && now === phase)
    return { would: 'already', note: moving ? `on its way already, step ${moving.step}` : 'there already' };
  if (moving)
    return { would: 'move', note: `its move from ${moving.from} to ${now} is under way (step ${moving.step})` };
  return version === 0 ? { would: 'move', note: 'not known yet' } : { would: 'move' };
}

function printPlan(rows: Planned[], refused: Planned[], phase: string): void {
  const columns = [
    { title: 'user', cell: (row: Planned) => row.jid },
    { title: 'from', cell: (row: Planned) => row.from },
    { title: 'to', cell: (row: Planned) => (row.would === 'move' ? phase : null) },
    { title: 'note', cell: (row: Planned) => row.note },
  ];
  // What cannot be done is what the operator must see.
  const inOrder = rows.length > shownRows ? [...refused, ...rows.filter(({ would }) => would !== 'refused')] : rows;
  for (const line of table(columns, inOrder.slice(0, shownRows))) print(line);
  if (rows.length > shownRows) print(`… and ${rows.length - shownRows} more (--json shows all)`);
  const of = (would: Planned['would']) => rows.filter((row) => row.would === would).length;
  const parts = [`${counted(of('move'), 'user')} would be moved to ${phase}`];
  if (of('already') > 0) parts.push(`${of('already')} would stay as they are`);
  if (refused.length > 0) parts.push(`${refused.length} cannot be moved`);
  print(`\n${listed(parts)}.`);
  note(`Nothing was changed. To do it:\n  ${commandLine('--yes')}`);
}

export async function moveMany(mover: Mover, jids: string[], phase: string, options: Options): Promise<void> {
  const rows: Moved[] = [];
  const counts: Record<Moved['result'], number> = { moved: 0, already: 0, failed: 0, moving: 0 };
  let begun = 0;
  let ended = 0;
  const state = () =>
    `${ended} of ${jids.length}: ${counts.moved} moved, ${counts.already} there already, ${counts.failed} failed; ${begun - ended} under way`;
  const progress = showProgress(
    () => `${state()}. What is under way goes on in the gateway; the same command again does the rest.`,
  );
  try {
    await forEach(jids, options.concurrency, async (jid, index) => {
      begun++;
      progress.show(`${state()} …`);
      const row = await moveOne(mover, jid);
      rows[index] = row;
      counts[row.result]++;
      ended++;
      progress.show(`${state()} …`);
    });
  } finally {
    progress.end();
  }
  report(rows, phase, options);
}

async function moveOne(mover: Mover, jid: string): Promise<Moved> {
  try {
    const ending = await mover.move(jid, () => {});
    return {
      jid: ending.user.jid,
      result: ending.kind,
      ...(ending.kind === 'failed' && { text: without(ending.user.jid, ending.text) }),
    };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { jid, result: 'failed', text: without(jid, error.message) };
  }
}

function report(rows: Moved[], phase: string, { json, wait }: Options): void {
  const of = (result: Moved['result']) => rows.filter((row) => row.result === result);
  const [failed, moving] = [of('failed'), of('moving')];
  if (json) printJson({ phase, dryRun: false, users: rows });
  else {
    const parts = [`${of('moved').length} moved`, `${of('already').length} there already`, `${failed.length} failed`];
    if (moving.length > 0) parts.push(`${moving.length} still under way`);
    print(`${counted(rows.length, 'user')} to ${phase}: ${listed(parts)}`);
    printRows('failed:', failed);
    printRows('still under way, in the gateway:', moving);
  }
  if (failed.length > 0)
    throw new CliFault(
      exitCodes.failed,
      `${failed.length} of ${counted(rows.length, 'user')} could not be moved to ${phase}`,
    );
  if (moving.length > 0 && wait !== false)
    throw new CliFault(
      exitCodes.moving,
      `${counted(moving.length, 'move')} still under way; look with \`crossfade user show\``,
    );
}

function printRows(title: string, rows: Moved[]): void {
  if (rows.length === 0) return;
  print(`\n${title}`);
  const columns = [
    { title: 'user', cell: (row: Moved) => row.jid },
    { title: 'why', cell: (row: Moved) => row.text },
  ];
  const shown = rows.slice(0, shownRows);
  for (const line of table(rows.some(({ text }) => text) ? columns : columns.slice(0, 1), shown, false))
    print(`  ${line}`);
  if (rows.length > shownRows) print(`  … and ${rows.length - shownRows} more (--json shows all)`);
}

/** Who it is about stands in the row already. */
function without(jid: string, text: string): string {
  return text.startsWith(`${jid} `) ? text.slice(jid.length + 1) : text;
}

/** `atOnce` at a time; the first one that throws stops those not begun, and is thrown when the others have ended. */
async function forEach<T>(
  items: readonly T[],
  atOnce: number,
  run: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const index = next++;
      try {
        await run(items[index] as T, index);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(atOnce, items.length) }, work));
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
}
