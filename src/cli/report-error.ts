/** What a person reads when a command fails: their mistake with its remedy, or our defect with how to report it. */
import { CommanderError } from 'commander';
import { VERSION } from '../api/version.ts';
import { TrysailError } from '../lib/errors.ts';
import { type ExitCode, exitCodeOf } from './exit-codes.ts';

/** The text for standard error; empty when the command line library has said it already. */
export function errorText(thrown: unknown): string {
  if (thrown instanceof CommanderError) return '';
  if (thrown instanceof TrysailError) {
    const message = /[.!?]$/.test(thrown.message) ? thrown.message : `${thrown.message}.`;
    return `trysail: ${message}${thrown.remedy === undefined ? '' : `\n  ${thrown.remedy}`}\n`;
  }
  const details = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return `trysail: this is a defect of Trysail ${VERSION} (Node ${process.version}), not a mistake of yours.\nPlease report it with the command, and what follows:\n${details}\n`;
}

/** Says what went wrong on standard error; returns the exit code. */
export function reportError(thrown: unknown): ExitCode {
  process.stderr.write(errorText(thrown));
  return exitCodeOf(thrown);
}
