/** Diagnostics for people on standard error, and what they make of the exit code. */
import { type Diagnostic, formatDiagnostic } from '../model/diagnostic.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { printable } from './output.ts';

/** One line each. */
export function tellDiagnostics(diagnostics: readonly Diagnostic[]): void {
  for (const diagnostic of diagnostics) process.stderr.write(`${printable(formatDiagnostic(diagnostic))}\n`);
}

/** Errors make a command fail that has an answer nevertheless. */
export function exitCodeFor(diagnostics: readonly Diagnostic[]): ExitCode {
  return diagnostics.some(({ severity }) => severity === 'error') ? EXIT.invalidConfiguration : EXIT.ok;
}
