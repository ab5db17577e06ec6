// Opens the file's schema: numbered migrations (sql/NNNN-*.sql), each applied once, in one transaction.

import { readdirSync, readFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';

const folder = new URL('./sql/', import.meta.url);
const applicationId = 0x58464144;
const migrations = readdirSync(folder)
  .filter((name) => /^\d{4}-.*\.sql$/.test(name))
  .sort();

/** The schema this program works with. */
export const newestVersion = migrations.length;

function numberOf(row: unknown): number {
  return Object.values(row as Record<string, number>)[0] ?? 0;
}

/**
 * The schema of the file; 0 for an empty one. Throws, with a text for the operator, on a file that is no ledger or was
 * written by a newer version.
 */
export function versionOf(db: DatabaseSync, path: string): number {
  const version = numberOf(db.prepare('PRAGMA user_version').get());
  const tables = numberOf(db.prepare('SELECT count(*) FROM sqlite_schema').get());
  if (tables > 0 && numberOf(db.prepare('PRAGMA application_id').get()) !== applicationId) {
    throw new Error(`${path} is a database, but not a Crossfade ledger. Set ledger.path to another file.`);
  }
  if (version > newestVersion) {
    throw new Error(
      `${path} was written by a newer Crossfade (ledger schema ${version}, this one knows up to ${newestVersion}). ` +
        'Install that version again, or restore the copy of the ledger made before the upgrade (crossfade ledger restore FILE).',
    );
  }
  return version;
}

/** Brings the database to the newest schema this program knows. Throws as `versionOf` does; nothing is changed then. */
export function migrate(db: DatabaseSync, path: string): void {
  const version = versionOf(db, path);
  for (const [index, name] of migrations.entries()) {
    if (index < version) continue;
    db.exec('BEGIN IMMEDIATE');
    try {
      db.exec(readFileSync(new URL(name, folder), 'utf8'));
      db.exec(`PRAGMA user_version = ${index + 1}; COMMIT`);
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
}
