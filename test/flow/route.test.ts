// The table of DESIGN §5, column "to the app", row by row.

import { expect, test } from 'vitest';
import { type Route, routeOf, type Way } from '../../src/flow/route.ts';
import type { Phase } from '../../src/migration/phase.ts';
import type { AppStatus } from '../../src/migration/wanted.ts';

const apps: AppStatus[] = ['none', 'away', 'here', 'unknown'];
const copies: Way[] = ['observed', 'carbon', 'archive'];
const rollback = { from: 'mqtt', step: 'drain' } as const;

interface Row {
  phase: Phase;
  moving?: typeof rollback;
  app?: AppStatus[];
  way: Way | Way[];
  route: Route;
}

const rows: Row[] = [
  { phase: 'legacy', way: 'direct', route: 'refuse' },
  { phase: 'legacy', way: copies, route: 'count' },
  { phase: 'legacy', moving: rollback, way: ['direct', 'carbon', 'archive'], route: 'accept' },
  { phase: 'legacy', moving: rollback, way: 'observed', route: 'count' },
  { phase: 'shadow', way: 'observed', route: 'shadow' },
  { phase: 'shadow', way: 'direct', route: 'refuse' },
  { phase: 'shadow', way: ['carbon', 'archive'], route: 'count' },
  { phase: 'shadow', moving: rollback, way: ['direct', 'carbon', 'archive'], route: 'accept' },
  { phase: 'shadow', moving: rollback, way: 'observed', route: 'shadow' },
  { phase: 'dual', app: ['none'], way: copies, route: 'count' },
  { phase: 'dual', app: ['none'], way: 'direct', route: 'accept' },
  { phase: 'dual', app: ['away', 'here', 'unknown'], way: ['direct', ...copies], route: 'accept' },
  { phase: 'mqtt', way: ['direct', ...copies], route: 'accept' },
  { phase: 'shadow', way: 'late', route: 'shadow' },
  { phase: 'legacy', way: 'late', route: 'count' },
  { phase: 'dual', way: 'late', route: 'count' },
  { phase: 'mqtt', way: 'late', route: 'count' },
];

const cases = rows.flatMap(({ phase, moving, app = apps, way, route }) =>
  [way].flat().flatMap((each) => app.map((status) => ({ phase, moving, way: each, status, route }))),
);

test.each(cases)(
  '$phase, app $status, $way, rollback $moving.step: $route',
  ({ phase, moving, way, status, route }) => {
    expect(routeOf({ phase, moving }, way, status)).toBe(route);
  },
);

test('every phase, way and app stands in the table', () => {
  expect(cases.filter(({ moving }) => !moving)).toHaveLength(4 * 5 * apps.length);
});

test('of a user nobody knows, what comes to a session is refused, and copies are counted', () => {
  expect(routeOf(undefined, 'direct', 'here')).toBe('refuse');
  for (const way of copies) expect(routeOf(undefined, way, 'here')).toBe('count');
});
