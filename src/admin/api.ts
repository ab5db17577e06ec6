// All routes of the admin side, in the order in which they should be read.

import { type BackupParts, backupRoutes } from './backup-api.ts';
import { type DoctorParts, doctorRoutes } from './doctor-api.ts';
import { type HealthParts, healthRoutes } from './health-api.ts';
import { type LedgerActsParts, ledgerActsRoutes } from './ledger-acts-api.ts';
import { type LedgerParts, ledgerRoutes } from './ledger-api.ts';
import { openapi } from './openapi.ts';
import { type OwnUsersApiParts, ownUsersRoutes } from './own-users-api.ts';
import type { Route } from './route.ts';
import { type ShadowParts, shadowRoutes } from './shadow-api.ts';
import { type UsersParts, usersRoutes } from './users-api.ts';
import { type VerifyParts, verifyRoutes } from './verify-api.ts';

export type ApiParts = UsersParts &
  OwnUsersApiParts &
  LedgerParts &
  LedgerActsParts &
  ShadowParts &
  DoctorParts &
  HealthParts &
  VerifyParts &
  BackupParts;

export function apiRoutes(parts: ApiParts): Route[] {
  const routes = [
    ...usersRoutes(parts),
    ...ownUsersRoutes(parts),
    ...ledgerRoutes(parts),
    ...ledgerActsRoutes(parts),
    ...verifyRoutes(parts),
    ...backupRoutes(parts),
    ...shadowRoutes(parts),
    ...doctorRoutes(parts),
    ...healthRoutes(parts),
  ];
  routes.push({
    method: 'GET',
    path: '/openapi.json',
    summary: 'This document.',
    open: true,
    answers: { 200: { description: 'OpenAPI 3.1.', schema: { type: 'object', additionalProperties: true } } },
    handle: () => ({ status: 200, body: document }),
  });
  const document = openapi(routes, parts.version);
  return routes;
}
