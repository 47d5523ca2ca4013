/** `trysail check`: what is wrong with this host, its files, and what it needs of others. */
import { type Command, Option } from 'commander';
import { withUnitEnvironment } from '../agent/check-environment.ts';
import { checkHost, checkNames, type HostReport } from '../agent/check-host.ts';
import { checkText } from './check-text.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { type OutputFormat, outputOption, serialise } from './output.ts';
import { addSettingsOptions, settingsOf } from './settings-options.ts';
import { COLOUR_STYLE, PLAIN_STYLE } from './status-text.ts';

interface CheckOptions {
  readonly config: string;
  readonly output: OutputFormat;
  readonly strict?: boolean;
  readonly offline?: boolean;
}

const PROGRESS_AFTER_MS = 700;
const CLEAR_LINE = '\r\u001b[K';

/** What the agent would refuse comes before what would make it useless. */
function exitCodeFor({ checks, state }: HostReport, strict: boolean): ExitCode {
  if (checks.some((each) => each.name === 'configuration' && each.state === 'error')) return EXIT.invalidConfiguration;
  if (state === 'error') return EXIT.hostUnfit;
  return strict && state === 'warning' ? EXIT.warnings : EXIT.ok;
}

/** Says on a terminal what is waited for, once it takes long. */
function progress(stream: NodeJS.WriteStream): {
  readonly show: (running: readonly string[]) => void;
  readonly end: () => void;
} {
  if (!stream.isTTY) return { show: () => undefined, end: () => undefined };
  let [waiting, shown]: [readonly string[], boolean] = [[], false];
  const draw = (): void => {
    shown = true;
    stream.write(`${CLEAR_LINE}waiting for ${waiting.join(', ')} …`);
  };
  const timer = setTimeout(draw, PROGRESS_AFTER_MS);
  return {
    show: (running) => {
      waiting = running;
      if (shown && running.length > 0) draw();
    },
    end: () => {
      clearTimeout(timer);
      if (shown) stream.write(CLEAR_LINE);
    },
  };
}

async function check(
  only: readonly string[],
  options: CheckOptions & Readonly<Record<string, unknown>>,
): Promise<void> {
  const { show, end } = progress(process.stderr);
  let report: HostReport;
  try {
    const loaded = await settingsOf(options, await withUnitEnvironment(options.config, process.env));
    report = await checkHost(options.config, loaded, { offline: options.offline === true, only, onProgress: show });
  } finally {
    end();
  }
  const { stdout } = process;
  // https://no-color.org
  const style = stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '' ? COLOUR_STYLE : PLAIN_STYLE;
  stdout.write(
    options.output === 'text'
      ? checkText(report, style, stdout.isTTY ? stdout.columns : undefined)
      : await serialise(report, options.output),
  );
  process.exitCode = exitCodeFor(report, options.strict === true);
}

export function registerCheckCommand(program: Command): void {
  const command = program
    .command('check')
    .description('Check this host: its files, ports, clock, firewalls, resolver, kernel, Consul and CA.')
    .argument('[names...]', `Run these checks alone: ${checkNames().join(', ')}.`)
    .addOption(outputOption())
    .addOption(new Option('--offline', 'Check the files alone, and ask nobody.'))
    .option('--strict', 'Exit with an error for warnings too.');
  addSettingsOptions(command)
    .addHelpText(
      'after',
      `
Changes nothing. As root it sees most. Exits with ${EXIT.ok} when nothing is wrong, ${EXIT.invalidConfiguration} when the files have errors, ${EXIT.hostUnfit} when
the host has, ${EXIT.warnings} for warnings with --strict.

Examples:
  trysail check
  trysail check ports consul consul-acl
  trysail check --offline --config ./agent.yaml --mesh-resources ./resources
  trysail check -o json | jq -r '.checks[].findings[] | .code + " " + .message'`,
    )
    .action(check);
}
