// docs/operating.md tells of every command, option, exit code, route and metric, and of none that there is not.

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { type ApiParts, apiRoutes } from '../../src/admin/api.ts';
import { exitCodes } from '../../src/cli/exit.ts';
import { makeProgram } from '../../src/cli/program.ts';
import { makeMetrics } from '../../src/metrics.ts';

const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
const rows = (pattern: RegExp) => [...page.matchAll(pattern)].map(([, found]) => found).sort();

/** Commands that do something, with their whole name. */
function commandsOf(command: Command, before = ''): { name: string; command: Command }[] {
  const name = `${before}${command.name()}`;
  if (command.commands.length === 0) return [{ name, command }];
  return command.commands.flatMap((child) => commandsOf(child, `${name} `));
}
const commands = commandsOf(makeProgram());

test('every command has its row', () => {
  expect(rows(/^\| `(crossfade [a-z]+(?: [a-z]+)?)/gm)).toEqual(commands.map(({ name }) => name).sort());
});

test('every option is named', () => {
  const options = commands.flatMap(({ command }) => command.options.map(({ long }) => long));
  expect([...new Set(options)].filter((option) => !page.includes(`\`${option}`))).toEqual([]);
});

test('every exit code has its row', () => {
  expect(
    rows(/^\| (\d+) \| (?!`)/gm)
      .map(Number)
      .sort((a, b) => a - b),
  ).toEqual(Object.values(exitCodes));
});

test('every route has its row', () => {
  const routes = apiRoutes({} as ApiParts).map(({ method, path }) => `${method} ${path}`);
  expect(rows(/^\| `((?:GET|PUT|POST|DELETE) [^`]+)`/gm)).toEqual(routes.sort());
});

test('every metric has its row', async () => {
  const metrics = await makeMetrics().registry.getMetricsAsJSON();
  const names = metrics.map(({ name }) => name).filter((name) => name.startsWith('crossfade_'));
  expect(rows(/^\| `(crossfade_\w+)`/gm)).toEqual(names.sort());
});

test('help fits into 100 characters, and says something about every option and argument', () => {
  const written: string[] = [];
  for (const { name, command } of commands) {
    command.configureOutput({ writeOut: (text) => written.push(...text.split('\n')), getOutHelpWidth: () => 80 });
    command.outputHelp();
    expect(
      [...command.options].filter(({ description }) => description === '').map(({ long }) => long),
      name,
    ).toEqual([]);
    expect(command.description().length, name).toBeGreaterThan(20);
  }
  expect(written.length).toBeGreaterThan(500);
  expect(written.filter((line) => line.length > 100)).toEqual([]);
});
