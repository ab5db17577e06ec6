// The distribution's part of the set-up: what is missing, and how it gets installed, or what a person is told.

import { expect, test } from 'vitest';
import { hasProgram, missingPackages, planInstall, purposes, table } from '../../scripts/system-packages.mjs';

const debianUser = { checkout: '/home/ann/crossfade', uid: 1000, apt: true, sudo: 'asks', terminal: true };
const script = '/home/ann/crossfade/scripts/install-packages.sh';

const commands = [
  { name: 'root installs', machine: { uid: 0 }, command: ['sh', script, 'prosody'], interactive: false },
  {
    name: 'a sudo that asks nothing is used without a terminal, too',
    machine: { sudo: 'silent', terminal: false },
    command: ['sudo', '-n', 'sh', script, 'prosody'],
    interactive: false,
  },
  {
    name: 'a sudo that asks for a password gets the terminal',
    machine: {},
    command: ['sudo', 'sh', script, 'prosody'],
    interactive: true,
  },
];

test.each(commands)('$name', ({ machine, command, interactive }) => {
  expect(planInstall(['prosody'], { ...debianUser, ...machine })).toEqual({ command, interactive });
});

const advices = [
  {
    name: 'without a terminal nobody can answer sudo, so the line to run is shown',
    machine: { terminal: false },
    shows: [`sudo sh ${script} prosody python3-slixmpp`],
  },
  {
    name: 'without sudo the line is for su',
    machine: { sudo: 'none' },
    shows: [`su -c "sh ${script} prosody python3-slixmpp"`],
  },
  {
    name: 'a folder with a space in its name is quoted',
    machine: { terminal: false, checkout: '/home/ann/my files' },
    shows: ["sudo sh '/home/ann/my files/scripts/install-packages.sh' prosody python3-slixmpp"],
  },
  {
    name: 'a system without apt-get is told the names',
    machine: { apt: false, uid: 0 },
    shows: ['no apt-get', 'by hand', 'prosody python3-slixmpp', '/usr/bin/python3'],
  },
];

test.each(advices)('$name', ({ machine, shows }) => {
  const plan = planInstall(['prosody', 'python3-slixmpp'], { ...debianUser, ...machine });
  expect(plan).toHaveProperty('advice');
  for (const text of shows) expect(plan.advice).toContain(text);
});

test('a program is found in the folders that an ordinary user has not in PATH, and only if it is there', () => {
  expect(hasProgram('sh', '/nowhere:/usr/bin:/bin')).toBe(true);
  expect(hasProgram('sh', '/nowhere')).toBe(false);
  expect(hasProgram('crossfade-no-such-program')).toBe(false);
});

test('what the tests need is installed while they run', () => {
  expect(missingPackages(Object.keys(table))).toEqual([]);
});

test('the demo can do without Mosquitto, but not without Prosody', () => {
  expect(purposes.demo).toEqual({ needed: ['prosody'], optional: ['mosquitto'] });
});
