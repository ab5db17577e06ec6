// The gateway's disk: a real SQLite database in memory. It outlives the gateway's processes, and, wiped, the stories.

import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { migrate } from '../../src/ledger/schema.ts';

type SqlFunction = (...args: SQLOutputValue[]) => SQLInputValue;

/** The stories to come may have them. */
const free: Disk[] = [];

/**
 * What SQLite has compiled once stays compiled, since half of a story's time went into opening ledgers: for each story the schema, for
 * each life of the gateway the two hundred statements of the store.
 */
export class Disk extends DatabaseSync {
  readonly #statements = new Map<string, StatementSync>();
  readonly #functions = new Map<string, SqlFunction>();
  readonly #toWipe: StatementSync[];

  private constructor() {
    super(':memory:');
    migrate(this, 'the ledger');
    // The same seed tells the same story, keys included.
    this.exec("UPDATE file SET space = 'k'");
    // Last what SQLite writes itself with the others.
    const tables = this.prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name = 'sqlite_sequence'",
    ).all();
    this.#toWipe = tables.flatMap(({ name }) => {
      this.exec(`CREATE TEMP TABLE new_${name} AS SELECT * FROM main.${name}`);
      return [`DELETE FROM main.${name}`, `INSERT INTO main.${name} SELECT * FROM new_${name}`].map((sql) =>
        this.prepare(sql),
      );
    });
  }

  /** With an empty ledger on it. */
  static take(): Disk {
    return free.pop() ?? new Disk();
  }

  /** The story is over, and nothing of it will write here any more. */
  giveBack(): void {
    for (const statement of this.#toWipe) statement.run();
    free.push(this);
  }

  override prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? super.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /** Each life defines the same functions anew, for which SQLite would compile everything again: to it there is one, which calls the newest. */
  override function(name: string, ...rest: unknown[]): void {
    if (!this.#functions.has(name))
      super.function(name, { varargs: true }, (...args) => this.#functions.get(name)!(...args));
    this.#functions.set(name, rest.at(-1) as SqlFunction);
  }
}
