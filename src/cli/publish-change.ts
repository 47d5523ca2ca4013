/** Publishes a change and tells what it did; one that goes out in steps is waited for. */
import type { ChangeReport, OpenFleet, Signed } from '../fleet/fleet.ts';
import type { RolloutResult } from '../fleet/follow-rollout.ts';
import type { SigningKey } from '../fleet/signing-key.ts';
import { changeLines, changeSummary, diagnosticText, revisionLines } from './change-text.ts';
import { type FleetOptions, withFleet } from './fleet-options.ts';
import { type OutputFormat, serialise } from './output.ts';
import { type StageOptions, waitForRollout } from './rollout-options.ts';

/** @throws FleetRefusal; TrysailError `FLEET_…`, `CONSUL_…` */
export async function publishChange(
  options: FleetOptions & StageOptions & { readonly message?: string },
  key: SigningKey,
  output: OutputFormat,
  publish: (fleet: OpenFleet, signed: Signed) => Promise<ChangeReport>,
): Promise<void> {
  const { parseSteps } = await import('../fleet/stage.ts');
  const { message, force, stage } = options;
  const steps = stage === undefined ? undefined : parseSteps(stage);
  await withFleet(options, async (fleet) => {
    const { changes, diagnostics, revisions, rollout } = await publish(fleet, { key, message, force, steps });
    process.stderr.write(diagnosticText(diagnostics));
    const [namespace] = Object.keys(revisions);
    if (output === 'text') {
      const lines = [...changeLines(changes), ...revisionLines(revisions)];
      process.stdout.write(lines.length === 0 ? 'Nothing has changed since.\n' : `${lines.join('\n')}\n`);
    }
    const result: RolloutResult | undefined =
      rollout === undefined || namespace === undefined
        ? undefined
        : await waitForRollout(fleet, namespace, key, options, output !== 'text');
    if (output === 'text') return;
    const data = {
      changes: changes.map(changeSummary),
      diagnostics,
      revisions: result?.progress.revisions ?? revisions,
    };
    process.stdout.write(await serialise(result === undefined ? data : { ...data, rollout: result }, output));
  });
}
