// How commands end: the exit codes (those above 63 as in sysexits.h), and the fault that carries one with its text.

export const exitCodes = {
  done: 0,
  /** Refused, failed, not found, not ready. */
  failed: 1,
  /** The move goes on. */
  moving: 3,
  usage: 64,
  /** No gateway answers. */
  unavailable: 69,
  /** The token is wrong or cannot be read. */
  forbidden: 77,
  configuration: 78,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** An expected end with an error: the text is for the operator, and there is no stack to show. */
export class CliFault extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, text: string) {
    super(text);
    this.exitCode = exitCode;
  }
}

export const exitCodesHelp = `
Exit codes:
   0  done
   1  refused, failed, not found, or not ready
   3  the move is still under way (user set)
  64  wrong usage
  69  no gateway answers
  77  the admin token is wrong or cannot be read
  78  the configuration or a mapping is faulty`;
