/** `trysail bypass`: takes traffic past the proxy within seconds, with everything else away, and says what that costs. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { BypassReport } from '../agent/bypass.ts';
import type { LoadedSettings } from '../agent/settings-load.ts';
import { parseDurationMs } from '../lib/duration.ts';
import { TrysailError } from '../lib/errors.ts';
import { type OutputFormat, outputOption, printable, serialise } from './output.ts';
import { addSettingsOptions, settingsOf, stateDirsFor } from './settings-options.ts';

interface BypassOptions {
  readonly all?: boolean;
  readonly for?: string;
  readonly end?: boolean;
  readonly expired?: boolean;
  readonly config: string;
  readonly output: OutputFormat;
}

const EVERYTHING = '*';
/** Where an agent runs whose settings cannot be read. */
const RUN_DIR = '/run/trysail';
const MOST_MS = 30 * 24 * 3_600_000;

function list(heading: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [heading, ...lines.map((line) => `  ${printable(line)}`)];
}

function reportText(
  { names, bypassed, notBypassed, suspended, unaudited }: BypassReport,
  forText: string | undefined,
): string {
  const all = names.includes(EVERYTHING);
  const lines =
    names.length === 0
      ? ['Nothing is past the proxy.']
      : [
          `Past the proxy${forText === undefined ? '' : `, for ${forText}`}: ${all ? 'everything' : names.join(', ')}.`,
          ...list('These go without it now:', bypassed),
          ...list('These cannot:', notBypassed),
          ...list('This does not hold meanwhile:', suspended),
          `To end it: trysail bypass ${all ? '--all' : names.join(' ')} --end`,
        ];
  return `${[...lines, ...list('No audit line could be written to:', unaudited)].join('\n')}\n`;
}

/** The settings; those that the last agent had where the file has errors now. */
async function settingsInForce(options: Readonly<Record<string, unknown>>): Promise<LoadedSettings> {
  const loaded = await settingsOf(options);
  if ('settings' in loaded) return loaded;
  const { keptSettingsText } = await import('../agent/kept-settings.ts');
  for (const dir of await stateDirsFor(options)) {
    const text = await keptSettingsText(dir);
    const kept = text === undefined ? loaded : await settingsOf(options, process.env, text);
    if (!('settings' in kept)) continue;
    process.stderr.write(
      `agent.yaml has errors: the settings that the last agent had are used, of ${printable(dir)}\n`,
    );
    return kept;
  }
  return loaded;
}

function durationOf(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== undefined && ms >= 1000 && ms <= MOST_MS) return ms;
  throw new TrysailError('BYPASS_DURATION', `--for ${text} is not a duration from 1s to 720h`, {
    remedy: 'Write it like 30m or 1h.',
  });
}

export function registerBypassCommand(program: Command): void {
  const command = program
    .command('bypass')
    .description('Take traffic past the proxy, for a while, with everything else away.')
    .argument('[services...]', 'Services that this host runs or calls.')
    .option('--all', 'All of them.')
    .option('--for <duration>', 'End it by itself then, such as 1h; a reboot ends it anyway.')
    .option('--end', 'Take it back into the proxy.')
    .option('--expired', 'With --end: what has had its time; for the timer.')
    .addOption(outputOption());
  addSettingsOptions(command)
    .addHelpText(
      'after',
      `
Needs root, and neither Consul nor the CA nor the agent nor an agent.yaml without faults. Every use is written to audit.log in the state folder and to
the journal.

Examples:
  trysail bypass payments --for 1h
  trysail bypass --all
  trysail bypass --all --end`,
    )
    .action(async (services: readonly string[], options: BypassOptions & Readonly<Record<string, unknown>>) => {
      const { startBypass, endBypass, endAllBypasses } = await import('../agent/bypass.ts');
      const names = options.all === true ? [EVERYTHING] : services;
      if (names.length === 0 && options.expired !== true)
        throw new TrysailError('BYPASS_NAMELESS', 'no service is named', { remedy: 'Name some, or write --all.' });
      const loaded = await settingsInForce(options);
      if (!('settings' in loaded)) {
        if (options.end !== true)
          throw new TrysailError(
            'CONFIGURATION_INVALID',
            `${options.config} is missing or has errors, and says what there is to bypass`,
            {
              remedy:
                'Correct it; "trysail check --offline" shows all of them. With Envoy dead, "trysail capture clean" works without it.',
            },
          );
        await endAllBypasses(RUN_DIR);
        process.stdout.write('Nothing is past the proxy.\n');
        return;
      }
      const { settings } = loaded;
      const program = [process.execPath, ...process.execArgv, process.argv[1] ?? ''];
      const report =
        options.end === true
          ? await endBypass(settings, options.expired === true ? undefined : names)
          : await startBypass(settings, {
              names,
              forMs: options.for === undefined ? undefined : durationOf(options.for),
              later: { command: [...program, 'bypass', '--end', '--expired', '--config', resolve(options.config)] },
            });
      process.stdout.write(
        options.output === 'text' ? reportText(report, options.for) : await serialise(report, options.output),
      );
    });
}
