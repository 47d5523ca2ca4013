/** `trysail capture`: shows the rules of transparent capture, and puts them into the kernel and out of it. */
import type { Command } from 'commander';
import type { CaptureReport } from '../api/capture.ts';
import { callApi } from '../api/client.ts';
import { TrysailError } from '../lib/errors.ts';
import { socketOption } from './api-socket.ts';
import { EXIT } from './exit-codes.ts';
import { type OutputFormat, outputOption, printable, serialise } from './output.ts';
import { addSettingsOptions, configurationInvalid, DEFAULT_CONFIG, settingsOf } from './settings-options.ts';

interface Asking {
  readonly socket: string;
  readonly output: OutputFormat;
}

function stateText({ state, trialEndsAt, revision, error }: CaptureReport): string {
  switch (state) {
    case 'unconfigured':
      return 'agent.yaml captures nothing on this host.';
    case 'unapplied':
      return 'Not in force. Look at the rules with "trysail capture plan", then: trysail capture apply';
    case 'waiting':
      return 'Applied; the rules go in as soon as Envoy has its listeners.';
    case 'trial':
      return `In force (${revision}), until ${trialEndsAt} only.\nIf this host still does what it should: trysail capture confirm`;
    case 'on':
      return `In force (${revision}).`;
    case 'failed':
      return `Not in force: ${printable(error?.message ?? '')}${error?.remedy === undefined ? '' : `\n  ${error.remedy}`}`;
  }
}

function notes({ waitingFor, unknownUsers, owned }: Partial<CaptureReport>): readonly string[] {
  return [
    ...(waitingFor ?? []).map((unit) => `${unit} does not run: its calls are captured as soon as it does.`),
    ...(unknownUsers ?? []).map((user) => `This host has no user ${user}.`),
    ...(owned === false
      ? ['This kernel is older than 5.12: if the holder of the rules is killed, only its unit removes them.']
      : []),
  ];
}

async function ask({ socket, output }: Asking, request: Parameters<typeof callApi<'capture'>>[2]): Promise<void> {
  const report = await callApi(socket, 'capture', request);
  const text = `${[stateText(report), ...notes(report)].join('\n')}\n`;
  process.stdout.write(output === 'text' ? text : await serialise(report, output));
  if (report.state === 'failed') process.exitCode = EXIT.failed;
}

/** What only root can mend, and the agent would wait for in vain. */
async function refusal({ socket }: Asking): Promise<TrysailError | undefined> {
  const settings = await settingsIfAny({ config: process.env['TRYSAIL_CONFIG'] ?? DEFAULT_CONFIG });
  if (settings === undefined) return undefined;
  const { isServedAt, needsTproxy, tproxyRefusal } = await import('../agent/tproxy-privilege.ts');
  if (!isServedAt(settings, socket) || !needsTproxy(settings)) return undefined;
  const { realMachine } = await import('../agent/join-machine.ts');
  const { envoy } = await callApi(socket, 'status', undefined);
  return tproxyRefusal(realMachine(), settings, envoy.pid);
}

/** The settings where they can be read; what is wrong with them must not keep anybody from cleaning up. */
async function settingsIfAny(options: Readonly<Record<string, unknown>>) {
  return settingsOf(options).then(
    (loaded) => ('settings' in loaded ? loaded.settings : undefined),
    () => undefined,
  );
}

export function registerCaptureCommands(program: Command): void {
  const capture = program.command('capture').description('Show, apply and remove the rules of transparent capture.');

  addSettingsOptions(
    capture
      .command('plan')
      .description('Print the nftables rules that agent.yaml asks for, without changing anything.')
      .addOption(outputOption()),
  )
    .addHelpText('after', '\nExamples:\n  trysail capture plan\n  trysail capture plan | nft --check --file -')
    .action(async (options: Readonly<Record<string, unknown>> & { readonly output: OutputFormat }) => {
      const { offlinePlan } = await import('../agent/capture-offline.ts');
      const loaded = await settingsOf(options);
      if (!('settings' in loaded)) throw configurationInvalid('no rules can be planned', loaded.issues);
      const plan = await offlinePlan(loaded.settings);
      process.stdout.write(options.output === 'text' ? plan.text : await serialise(plan, options.output));
      if (options.output === 'text') for (const note of notes(plan)) process.stderr.write(`${note}\n`);
    });

  capture
    .command('apply')
    .description('Put the rules in force; the first time on a host they go back after 60 seconds unless confirmed.')
    .addOption(socketOption())
    .addOption(outputOption())
    .option('--confirmed', 'Keep them without a trial, for automation.')
    .addHelpText('after', '\nExamples:\n  trysail capture apply\n  trysail capture apply --confirmed')
    .action(async (options: Asking & { readonly confirmed?: boolean }) => {
      const refused = await refusal(options);
      if (refused !== undefined) throw refused;
      await ask(options, { action: 'apply', confirmed: options.confirmed === true });
    });

  capture
    .command('confirm')
    .description('Keep what is on trial; later changes of agent.yaml are applied without one.')
    .addOption(socketOption())
    .addOption(outputOption())
    .action(async (options: Asking) => ask(options, { action: 'confirm' }));

  capture
    .command('status')
    .description('Show whether the rules are in force.')
    .addOption(socketOption())
    .addOption(outputOption())
    .action(async (options: Asking) => ask(options, { action: 'status' }));

  addSettingsOptions(
    capture
      .command('clean')
      .description('Remove all rules and forget the confirmation; as root also with everything else dead.')
      .addOption(socketOption())
      .addOption(outputOption()),
  ).action(async (options: Asking & Readonly<Record<string, unknown>>) => {
    try {
      await ask(options, { action: 'clean' });
    } catch (error) {
      if (process.geteuid?.() !== 0) throw error;
      const { cleanOffline } = await import('../agent/capture-offline.ts');
      const result = await cleanOffline(await settingsIfAny(options));
      const text =
        result.removed.length === 0
          ? 'There were no rules of capture.\n'
          : `Removed without the agent: ${result.removed.map((name) => `table inet ${name}`).join(', ')}.\n`;
      process.stdout.write(options.output === 'text' ? text : await serialise(result, options.output));
    }
  });
}
