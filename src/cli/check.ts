/** `trysail check`: what is wrong with this host's files, without asking anybody. */
import type { Command } from 'commander';
import { type CheckReport, checkConfiguration } from '../agent/check.ts';
import { formatDiagnostic, type Severity } from '../model/diagnostic.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { type OutputFormat, outputOption, printable, serialise } from './output.ts';
import { addSettingsOptions, settingsOf } from './settings-options.ts';

interface CheckOptions {
  readonly config: string;
  readonly output: OutputFormat;
  readonly strict?: boolean;
}

function reportText({ diagnostics, checked }: CheckReport): string {
  const count = (severity: Severity): number => diagnostics.filter((d) => d.severity === severity).length;
  const [errors, warnings] = [count('error'), count('warning')];
  const summary =
    errors + warnings === 0
      ? `Nothing is wrong with ${checked.join(', ')}.`
      : `${errors} error${errors === 1 ? '' : 's'} and ${warnings} warning${warnings === 1 ? '' : 's'} in ${checked.join(', ')}.`;
  return `${[...diagnostics.map((diagnostic) => printable(formatDiagnostic(diagnostic))), summary].join('\n')}\n`;
}

function exitCodeFor({ diagnostics }: CheckReport, strict: boolean): ExitCode {
  if (diagnostics.some(({ severity }) => severity === 'error')) return EXIT.invalidConfiguration;
  return strict && diagnostics.some(({ severity }) => severity === 'warning') ? EXIT.warnings : EXIT.ok;
}

export function registerCheckCommand(program: Command): void {
  const command = program
    .command('check')
    .description('Check agent.yaml, meshconfig.yaml and the resources of this host, offline.')
    .addOption(outputOption())
    .option('--strict', 'Exit with an error for warnings too.');
  addSettingsOptions(command)
    .addHelpText(
      'after',
      `
Exits with ${EXIT.ok} when the agent would start, ${EXIT.invalidConfiguration} when there are errors, ${EXIT.warnings} for warnings with --strict.

Examples:
  trysail check
  trysail check --config ./agent.yaml --mesh-resources ./resources
  trysail check -o json | jq '.diagnostics[].message'`,
    )
    .action(async (options: CheckOptions & Readonly<Record<string, unknown>>) => {
      const report = await checkConfiguration(options.config, await settingsOf(options));
      process.stdout.write(options.output === 'text' ? reportText(report) : await serialise(report, options.output));
      process.exitCode = exitCodeFor(report, options.strict === true);
    });
}
