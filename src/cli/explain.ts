/** `trysail explain`: what becomes of one request, by which rule; from files, or from the running agent. */
import { type Command, Option } from 'commander';
import { TrysailError } from '../lib/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import { socketOption } from './api-socket.ts';
import {
  addFileOptions,
  addWorkloadOptions,
  type FileOptions,
  filesOf,
  isDescribed,
  type WorkloadOptions,
  workloadOf,
} from './configuration-options.ts';
import { exitCodeFor, tellDiagnostics } from './diagnostic-text.ts';
import { EXIT } from './exit-codes.ts';
import { explanationText } from './explain-text.ts';
import { type OutputFormat, outputOption, serialise } from './output.ts';
import { COLOUR_STYLE, PLAIN_STYLE } from './status-text.ts';

interface ExplainOptions extends FileOptions, WorkloadOptions {
  readonly from?: string;
  readonly gateway?: string;
  readonly to: string;
  readonly method: string;
  readonly header?: readonly string[];
  readonly sni?: string;
  readonly socket: string;
  readonly output: OutputFormat;
}

const collect = (value: string, previous: readonly string[] | undefined): readonly string[] => [
  ...(previous ?? []),
  value,
];

async function fromFiles(options: ExplainOptions): Promise<Explanation> {
  const { readConfiguration } = await import('../analysis/configuration.ts');
  const { explainOffline } = await import('../analysis/explain-question.ts');
  const configuration = await readConfiguration(filesOf(options));
  tellDiagnostics(configuration.diagnostics.filter(({ severity }) => severity === 'error'));
  process.exitCode = exitCodeFor(configuration.diagnostics);
  if ((options.from ?? '') === '' && options.gateway === undefined && !isDescribed(options))
    throw new TrysailError('OPTIONS_INVALID', 'nobody is named who calls', {
      remedy: 'Name a workload or service of the files by --from web.default, or describe it: --labels app=web.',
    });
  const workload = isDescribed(options) ? await workloadOf(configuration, options) : undefined;
  return explainOffline(configuration, questionOf(options), workload);
}

function questionOf({ from, gateway, to, method, header, sni }: ExplainOptions): Readonly<{
  to: string;
  method: string;
  from?: string;
  gateway?: string;
  headers?: readonly string[];
  sni?: string;
}> {
  return {
    to,
    method,
    ...(from !== undefined && { from }),
    ...(gateway !== undefined && { gateway }),
    ...(header !== undefined && { headers: header }),
    ...(sni !== undefined && { sni }),
  };
}

async function fromAgent(options: ExplainOptions): Promise<Explanation> {
  const { callApi } = await import('../api/client.ts');
  return await callApi(options.socket, 'explain', questionOf(options));
}

async function explainRequest(options: ExplainOptions): Promise<void> {
  const explanation = options.file === undefined ? await fromAgent(options) : await fromFiles(options);
  // https://no-color.org
  const style = process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '' ? COLOUR_STYLE : PLAIN_STYLE;
  process.stdout.write(
    options.output === 'text' ? explanationText(explanation, style) : await serialise(explanation, options.output),
  );
}

export function registerExplainCommand(program: Command): void {
  const command = program
    .command('explain')
    .description('Show what becomes of a request, by which rule, and why by no others.')
    .option(
      '--from <name.namespace>',
      'Who calls: a workload or service (without -f the first of this host unless named).',
    )
    .addOption(
      new Option(
        '--gateway <namespace/name>',
        'What arrives from outside at this Gateway, or gateway of this host.',
      ).conflicts('from'),
    )
    .requiredOption('--to <url>', 'What is called: http://name:port/path, https://…, tls://name:port, tcp://name:port.')
    .option('-X, --method <method>', 'Its method.', 'GET')
    .addOption(new Option('-H, --header <name: value>', 'A header of it; may be repeated.').argParser(collect))
    .option('--sni <name>', 'The server name that TLS asks for (default: that of --to).')
    .addOption(outputOption())
    .addOption(socketOption());
  addWorkloadOptions(addFileOptions(command))
    .addHelpText(
      'after',
      `
With -f it answers from files alone, without it from what the agent of this host knows. It is led through the very
configuration that Envoy gets. No request is sent. Exits with ${EXIT.ok} whatever becomes of the request, ${EXIT.invalidConfiguration} where files have
errors, ${EXIT.agentNotRunning} when no agent answers.

Examples:
  trysail explain --to http://reviews:9080/api/1
  trysail explain -f ./mesh --from web.default --to http://reviews:9080/api/1 -X GET -H 'end-user: jason'
  trysail explain -f ./mesh --labels app=web --to tls://db.example.com:443
  trysail explain -f ./mesh --gateway default/public --to https://www.example.com/api
  trysail explain -f ./mesh --from web --to http://reviews:9080 -o json | jq '.destinations[] | {subset, weight}'`,
    )
    .action(explainRequest);
}
