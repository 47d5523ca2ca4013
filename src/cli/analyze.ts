/** `trysail analyze`: what is wrong or doubtful in resource files, or in what the agent of this host works with. */
import { type Command, Option } from 'commander';
import type { Diagnostic, Severity } from '../model/diagnostic.ts';
import { annotations, findingsText } from './analyze-text.ts';
import { socketOption } from './api-socket.ts';
import { addFileOptions, type FileOptions, filesOf } from './configuration-options.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { addFleetOptions, type FleetOptions } from './fleet-options.ts';
import { serialise } from './output.ts';
import { COLOUR_STYLE, PLAIN_STYLE } from './status-text.ts';
import { isSuppressed } from './suppressions.ts';

interface AnalyzeCommandOptions extends FileOptions, FleetOptions {
  readonly fleet?: boolean;
  readonly registry: 'files' | 'consul';
  readonly failOn: Severity | 'never';
  readonly suppress?: readonly string[];
  readonly socket: string;
  readonly output: 'text' | 'json' | 'yaml' | 'github';
}

const collect = (value: string, previous: readonly string[] | undefined): readonly string[] => [
  ...(previous ?? []),
  value,
];

async function fromFiles(options: AnalyzeCommandOptions): Promise<readonly Diagnostic[]> {
  const { readConfiguration } = await import('../analysis/configuration.ts');
  const { analyzeResources } = await import('../analysis/analyze.ts');
  const { mesh, files, resources, diagnostics } = await readConfiguration(filesOf(options), 'tell');
  return analyzeResources(mesh, files, resources, { mayBeElsewhere: options.registry === 'consul' }, diagnostics);
}

async function fromAgent({ socket }: AnalyzeCommandOptions): Promise<readonly Diagnostic[]> {
  const { callApi } = await import('../api/client.ts');
  return (await callApi(socket, 'analyze', undefined)).diagnostics;
}

/** What is no resource of the mesh is no fault of a repository. */
const PASSED_OVER = 'TRY0009';
async function found(options: AnalyzeCommandOptions): Promise<readonly Diagnostic[]> {
  if (options.fleet === true) return (await import('./analyze-fleet.ts')).analyzeFleet(options, options.mesh);
  return options.file === undefined ? await fromAgent(options) : await fromFiles(options);
}

const SEVERITIES: readonly Severity[] = ['error', 'warning', 'info'];

function exitCodeFor(diagnostics: readonly Diagnostic[], failOn: AnalyzeCommandOptions['failOn']): ExitCode {
  if (failOn === 'never') return EXIT.ok;
  const counting = new Set(SEVERITIES.slice(0, SEVERITIES.indexOf(failOn) + 1));
  const found = diagnostics.filter(({ code, severity }) => counting.has(severity) && code !== PASSED_OVER);
  if (found.some(({ severity }) => severity === 'error')) return EXIT.invalidConfiguration;
  return found.length > 0 ? EXIT.warnings : EXIT.ok;
}

async function text(diagnostics: readonly Diagnostic[], output: AnalyzeCommandOptions['output']): Promise<string> {
  if (output === 'github') return annotations(diagnostics);
  if (output !== 'text') return await serialise({ diagnostics }, output);
  // https://no-color.org
  const style = process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '' ? COLOUR_STYLE : PLAIN_STYLE;
  return findingsText(diagnostics, style);
}

async function analyzeConfiguration(options: AnalyzeCommandOptions): Promise<void> {
  const all = await found(options);
  const shown = all.filter((one) => !isSuppressed(one, options.suppress ?? []));
  process.stdout.write(await text(shown, options.output));
  process.exitCode = exitCodeFor(shown, options.failOn);
}

export function registerAnalyzeCommand(program: Command): void {
  const command = program
    .command('analyze')
    .description('Find what is wrong or doubtful in resources.')
    .addOption(
      new Option('--registry <where>', 'Where services are: in Consul some may be that no file names.')
        .choices(['files', 'consul'])
        .default('files'),
    )
    .addOption(
      new Option('--fail-on <severity>', 'The least severe finding that makes it fail.')
        .choices([...SEVERITIES, 'never'])
        .default('error'),
    )
    .addOption(
      new Option(
        '-S, --suppress <code>',
        'Leave out findings of this code, or of <code>=<kind> <namespace>/<name>; may be repeated.',
      ).argParser(collect),
    )
    .addOption(
      new Option('-o, --output <format>', 'How to print the findings.')
        .choices(['text', 'json', 'yaml', 'github'])
        .default('text'),
    )
    .addOption(
      new Option('--fleet', 'All that is published for the fleet, with the services of Consul.').conflicts('file'),
    )
    .addOption(socketOption());
  addFleetOptions(addFileOptions(command))
    .addHelpText(
      'after',
      `
With -f it looks at files, with --fleet at what is published in Consul, without either at what the agent of this host works
with. Exits with ${EXIT.ok} where nothing is as severe as --fail-on, ${EXIT.invalidConfiguration} for errors, ${EXIT.warnings} for warnings or notes that count.
What each code means: docs/analyze.md.

Examples:
  trysail analyze
  trysail analyze --fleet
  trysail analyze -f .
  trysail analyze -f ./mesh --mesh meshconfig.yaml --registry consul --fail-on warning
  trysail analyze -f . --suppress 'IST0173=DestinationRule shop/*'
  trysail analyze -f . -o github
  trysail analyze -f . -o json | jq -r '.diagnostics[] | .code + " " + .message'`,
    )
    .action(analyzeConfiguration);
}
