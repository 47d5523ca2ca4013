/**
 * Errors that a person is meant to read: what was wrong, where, and what to do. Anything else that is thrown is a
 * defect or an operational failure of a library, and keeps its own type.
 */

/** A failure with a stable code for scripts and a remedy for people. */
export class TrysailError extends Error {
  /** Stable, such as `CONSUL_UNREACHABLE`; listed in docs/errors.md. */
  readonly code: string;
  /** What the reader can do about it, one imperative sentence. */
  readonly remedy: string | undefined;

  constructor(code: string, message: string, options: { readonly remedy?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'TrysailError';
    this.code = code;
    this.remedy = options.remedy;
  }
}

/** The message of whatever was thrown, with the system's error code where there is one. */
export function errorMessage(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  // Node reports a failed connection to several addresses as an AggregateError with an empty message.
  if (thrown instanceof AggregateError && thrown.message === '') return thrown.errors.map(errorMessage).join('; ');
  return thrown.message;
}

/** The `code` of a Node.js system error such as `ENOENT`, or undefined. */
export function errorCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
