/** The program: reads the command line, runs one command, exits with a code of `exit-codes.ts`. */

import { commandIn, createProgram, GUIDE, spelledOut } from './program.ts';
import { reportError } from './report-error.ts';

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 0) {
    process.stdout.write(GUIDE);
    return;
  }
  const asked = commandIn(args);
  const program = await createProgram(asked === undefined ? [] : [asked.name]);
  await program.parseAsync(spelledOut(args), { from: 'user' });
}

// The reader of a pipe may go before all is written (`trysail status | head -1`): that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

// A daemon's defect in a timer or an event: said like any other, then the end. Envoy goes on serving.
process.on('uncaughtException', (error) => process.exit(reportError(error)));

// No top-level await: the bundle is CommonJS.
main(process.argv.slice(2)).catch((error: unknown) => {
  process.exitCode = reportError(error);
});
