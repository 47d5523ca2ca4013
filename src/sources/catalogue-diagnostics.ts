/** What is to be said about the catalogue as a whole: one diagnostic a cause, however many services it concerns. */
import { formatDuration } from '../lib/duration.ts';
import type { TrysailError } from '../lib/errors.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import type { Hold } from './catalogue-mass-critical.ts';

/** What the diagnostics are made of. */
export interface CatalogueFindings {
  /** Consul's address. */
  readonly address: string;
  /** Name of the sentinel service. */
  readonly sentinel: string;
  readonly holdMs: number;
  readonly hold: Hold | undefined;
  readonly notWatched: readonly string[];
  /** Services of which lost instances are kept. */
  readonly lost: readonly string[];
  readonly watches: readonly {
    readonly service: string;
    readonly error: TrysailError | undefined;
    readonly hidden: boolean;
  }[];
  /** Sentences about entries that were left out. */
  readonly odd: readonly { readonly service: string; readonly sentence: string }[];
}

/** At most so many names in one sentence. */
const MAX_NAMES = 10;

function listed(names: readonly string[]): string {
  const shown = names.toSorted().slice(0, MAX_NAMES).join(', ');
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}

/** The diagnostics in the order in which people read them. */
export function catalogueDiagnostics(findings: CatalogueFindings): readonly Diagnostic[] {
  const { address, sentinel, hold, notWatched, watches, odd } = findings;
  const object = `Consul ${address}`;
  const found: Diagnostic[] = [];
  if (notWatched.length > 0)
    found.push({
      code: 'TRY0601',
      severity: 'error',
      object,
      message: `This host asks for more services than it may follow; not followed: ${listed(notWatched)}.`,
      remedy: 'List in agent.yaml only the upstreams that its services call.',
    });
  const hidden = watches.filter((watch) => watch.hidden).map((watch) => watch.service);
  if (hidden.length > 0)
    found.push({
      code: 'TRY0602',
      severity: 'error',
      object,
      message: `Consul’s answer is empty for ${listed(hidden)}, and the token cannot see the sentinel service "${sentinel}" either: the last known endpoints are kept.`,
      remedy: `Give the token service_prefix "" and node_prefix "" read, or set catalogue.sentinelService to a service that exists (see docs/consul.md).`,
    });
  if (hold !== undefined)
    found.push({
      code: 'TRY0603',
      severity: 'error',
      object,
      message: `Most of the healthy instances turned critical at once, by Consul’s node check alone: their last endpoints are kept for up to ${formatDuration(findings.holdMs)}.`,
      remedy: 'Check the network between the Consul agents (`consul members`) and whether the hosts are really down.',
    });
  if (findings.lost.length > 0)
    found.push({
      code: 'TRY0606',
      severity: 'warning',
      object,
      message: `Consul was away or has started over, and lacks instances of ${listed(findings.lost)}: they are kept until they are registered again, for at most a minute.`,
      remedy: 'Check that the Consul agents keep their data_dir and that the agents of those hosts run.',
    });
  const failed = watches.filter((watch) => watch.error !== undefined);
  for (const code of new Set(failed.map((watch) => watch.error?.code))) {
    const same = failed.filter((watch) => watch.error?.code === code);
    const first = same.toSorted((a, b) => (a.service < b.service ? -1 : 1))[0]?.error;
    if (first === undefined) continue;
    found.push({
      code: 'TRY0604',
      severity: 'error',
      object,
      message: `${first.message} The last known endpoints are kept for ${listed(same.map((watch) => watch.service))}.`,
      ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
    });
  }
  for (const { service, sentence } of odd)
    found.push({
      code: 'TRY0605',
      severity: 'warning',
      object: `Consul service ${service}`,
      message: `${sentence}.`,
      remedy: 'Correct the registration in Consul.',
    });
  return found.toSorted(compareDiagnostics);
}
