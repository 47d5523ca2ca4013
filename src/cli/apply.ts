/** `trysail apply` and `trysail diff`: resource files become the fleet's configuration. */
import { type Command, InvalidArgumentError } from 'commander';
import type { ApplyRequest } from '../fleet/fleet.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { changeSummary, diagnosticText, diffLines } from './change-text.ts';
import { DEFAULT_WORKLOADS, envoyChangeData, envoyChangeLines, envoyChangesOf } from './envoy-changes-text.ts';
import { EXIT } from './exit-codes.ts';
import {
  addFleetOptions,
  addKeyOption,
  collect,
  type FleetOptions,
  type KeyOptions,
  messageOption,
  signingKeyOf,
  withFleet,
} from './fleet-options.ts';
import { type OutputFormat, outputOption, serialise } from './output.ts';
import { publishChange } from './publish-change.ts';
import { addStageOptions, type StageOptions } from './rollout-options.ts';

interface FileOptions extends FleetOptions, EnvoyOptions {
  readonly file: readonly string[];
  readonly namespace: string;
  readonly prune?: boolean;
  readonly mesh?: string;
  readonly output: OutputFormat;
}

/** What is shown of the changes in Envoys. */
interface EnvoyOptions {
  readonly full?: boolean;
  readonly workloads: number;
}

interface ApplyOptions extends FileOptions, KeyOptions, StageOptions {
  readonly message?: string;
  readonly dryRun?: boolean;
}

/** What is to be published, and what of the files was passed over as another program's. */
interface ReadFiles {
  readonly request: ApplyRequest;
  readonly passedOver: readonly Diagnostic[];
}

async function readFiles({ file, namespace, prune, mesh }: FileOptions): Promise<ReadFiles> {
  const { readManifestsIn } = await import('../fleet/manifest.ts');
  const { analyzeResources } = await import('../analysis/analyze.ts');
  const { manifests, passedOver } = await readManifestsIn(file, namespace);
  const pruned = prune === true ? [...new Set([namespace, ...manifests.map((one) => one.namespace)])] : [];
  const request: ApplyRequest = {
    manifests,
    prune: pruned,
    // Services and workloads may be in Consul alone.
    judge: (ofChange, resources, files) => analyzeResources(ofChange, files, resources, { mayBeElsewhere: true }),
  };
  if (mesh === undefined) return { request, passedOver };
  const { loadMeshConfig } = await import('../agent/agent-files.ts');
  const { config } = await loadMeshConfig(mesh);
  return { request: { ...request, config }, passedOver };
}

function addFileOptions(command: Command): Command {
  return command
    .requiredOption(
      '-f, --file <path>',
      'A file or folder of resources, "-" for standard input; may be repeated.',
      collect,
    )
    .option('-n, --namespace <name>', 'The namespace of resources that name none.', 'default')
    .option('--prune', 'Delete what is published in their namespaces and not in the files.')
    .option('--mesh <file>', 'The mesh configuration (meshconfig.yaml) to check against; its defaults without it.')
    .option('--full', 'Show each changed resource of Envoy, not its name alone.')
    .option('--workloads <count>', 'So many kinds of workloads are rendered.', count, DEFAULT_WORKLOADS)
    .addOption(outputOption());
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError('Write a whole number.');
}

async function propose(options: FileOptions): Promise<void> {
  const { proposeApply } = await import('../fleet/fleet.ts');
  const { request, passedOver } = await readFiles(options);
  const [{ changes, diagnostics: found }, envoy] = await withFleet(options, async (fleet) => {
    const proposal = await proposeApply(fleet, request);
    return [
      proposal,
      await envoyChangesOf(fleet, proposal, { config: request.config, maxWorkloads: options.workloads }),
    ];
  });
  const diagnostics = [...passedOver, ...found];
  process.stderr.write(diagnosticText(diagnostics));
  const differing = changes.filter(({ action }) => action !== 'unchanged');
  const full = options.full === true;
  process.stdout.write(
    options.output === 'text'
      ? differing.length === 0
        ? 'Nothing would change.\n'
        : `${[...diffLines(changes), ...(await envoyChangeLines(envoy, full))].join('\n')}\n`
      : await serialise(
          { changes: changes.map(changeSummary), diagnostics, envoy: envoyChangeData(envoy, full) },
          options.output,
        ),
  );
  process.exitCode = diagnostics.some(({ severity }) => severity === 'error')
    ? EXIT.invalidConfiguration
    : differing.length === 0
      ? EXIT.ok
      : EXIT.differs;
}

async function apply(options: ApplyOptions): Promise<void> {
  const { applyResources, FleetRefusal } = await import('../fleet/fleet.ts');
  const { request, passedOver } = await readFiles(options);
  const key = await signingKeyOf(options);
  const { output } = options;
  try {
    await publishChange(options, key, output, async (fleet, signed) => {
      const report = await applyResources(fleet, request, signed);
      return { ...report, diagnostics: [...passedOver, ...report.diagnostics] };
    });
  } catch (error) {
    if (error instanceof FleetRefusal) process.stderr.write(diagnosticText(error.diagnostics));
    throw error;
  }
}

export function registerApplyCommand(program: Command): void {
  const command = program
    .command('apply')
    .description("Publish resource files as the fleet's configuration: signed, checked, all of it at once.")
    .addOption(messageOption())
    .option('--dry-run', 'Check, and show what would change; write nothing.')
    .addHelpText(
      'after',
      `
All that "trysail analyze" says of the fleet with the change is told first. Errors in what is applied, or that it makes in
what is published, refuse the whole change; documents of Kubernetes and other programs are passed over. A resource keeps its age when it is changed.

Examples:
  trysail apply -f reviews.yaml -n shop --key shop.key -m "canary to 5 %"
  trysail apply -f reviews.yaml -n shop --key shop.key --stage 1,5%,all
  trysail apply -f resources/ --prune --dry-run`,
    )
    .action(async (options: ApplyOptions) => {
      if (options.dryRun !== true) return await apply(options);
      await propose(options);
      if (process.exitCode === EXIT.differs) process.exitCode = EXIT.ok;
    });
  addKeyOption(addFleetOptions(addStageOptions(addFileOptions(command))));
}

export function registerDiffCommand(program: Command): void {
  const command = program
    .command('diff')
    .description("Show what applying resource files would change in the fleet's configuration.")
    .addHelpText(
      'after',
      `
Exits with ${EXIT.ok} when nothing would change, ${EXIT.differs} when something would, ${EXIT.invalidConfiguration} when a resource has errors.

Example:
  trysail diff -f resources/ -n shop`,
    )
    .action(propose);
  addFleetOptions(addFileOptions(command));
}
