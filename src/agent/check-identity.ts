/** The host's own certificates on disk: its credential and those of its workloads, or the files that somebody renews. */
import { join } from 'node:path';
import { certificateFacts, parseCertificate, splitPem } from '../identity/certificate.ts';
import { FilesProvider } from '../identity/files-provider.ts';
import { readSealed } from '../identity/sealed-file.ts';
import { formatDuration } from '../lib/duration.ts';
import { errorCode, TrysailError } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { parseWorkloadSpiffeId, type SpiffeId } from '../model/spiffe-id.ts';
import { type CheckOutcome, finding, type HostCheck } from '../platform/vm/checks/host-check.ts';
import { type HostStanding, hostStanding } from './check-standing.ts';
import type { AgentSettings } from './settings.ts';
import { neededIdentities, toHost } from './settings-host.ts';

/** They are renewed at half their life: what is left of one that nobody could renew. */
const OVERDUE_SHARE = 0.25;
const NEW_TOKEN =
  'Run "trysail token create" on the CA, and write what it prints into the file identity.ca.joinTokenFile.';

interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Expired, not valid yet, or past the time at which it should have been renewed. */
function judgeValidity(
  object: string,
  { notBeforeMs, notAfterMs }: Validity,
  nowMs: number,
  remedy: string,
): Diagnostic | undefined {
  const about = (severity: 'error' | 'warning', message: string): Diagnostic =>
    finding('TRY1152', severity, object, message, remedy);
  if (notAfterMs <= nowMs) return about('error', `it expired ${formatDuration(nowMs - notAfterMs)} ago`);
  if (notBeforeMs > nowMs)
    return about('error', `it begins in ${formatDuration(notBeforeMs - nowMs)} by this host's clock`);
  if (notAfterMs - nowMs < (notAfterMs - notBeforeMs) * OVERDUE_SHARE)
    return about('warning', `it ends in ${formatDuration(notAfterMs - nowMs)} and has not been renewed`);
  return undefined;
}

function judgeHost(standing: HostStanding, nowMs: number): CheckOutcome {
  const { credential, expectedSpiffeId, problem, tokenId } = standing;
  if (problem !== undefined)
    return {
      facts: [],
      findings: [finding('TRY1152', 'error', 'host credential', problem.message, problem.remedy ?? NEW_TOKEN)],
    };
  if (credential === undefined)
    return tokenId === undefined
      ? {
          facts: [],
          findings: [
            finding('TRY1153', 'error', 'host', 'it has not joined the mesh, and there is no join token', NEW_TOKEN),
          ],
        }
      : { facts: [`not joined yet; join token ${tokenId} is at hand`], findings: [] };
  if (credential.spiffeId !== expectedSpiffeId)
    return {
      facts: [],
      findings: [
        finding(
          'TRY1152',
          'error',
          'host credential',
          `it is ${credential.spiffeId ?? 'nobody'}'s, and this host is ${expectedSpiffeId ?? 'nobody'} by its configuration`,
          'Correct host.name and trustDomain, or join again with a new token.',
        ),
      ],
    };
  const unused = tokenId !== undefined && tokenId !== credential.tokenId;
  const remedy = unused
    ? 'Start the agent: it joins anew with the token at hand.'
    : `Check this host's clock and the CA. If both are right: ${NEW_TOKEN}`;
  const found = judgeValidity('host credential', credential, nowMs, remedy);
  return found === undefined
    ? {
        facts: [`joined as ${credential.spiffeId}, for ${formatDuration(credential.notAfterMs - nowMs)} more`],
        findings: [],
      }
    : { facts: [], findings: [found] };
}

async function judgeWorkloads(stateDir: string, identities: readonly SpiffeId[], nowMs: number): Promise<CheckOutcome> {
  const findings: Diagnostic[] = [];
  let good = 0;
  for (const identity of identities) {
    const { namespace = '', serviceAccount = '' } = parseWorkloadSpiffeId(identity) ?? {};
    try {
      const kept = await readSealed(join(stateDir, 'identity', 'workloads', namespace, `${serviceAccount}.json`));
      if (kept === undefined) continue;
      const found = judgeValidity(identity, kept.facts, nowMs, 'See why with trysail status, and try trysail rotate.');
      if (found === undefined) good += 1;
      else findings.push(found);
    } catch (error) {
      if (!(error instanceof TrysailError)) throw error;
      if (errorCode(error.cause) === 'EACCES') continue;
      findings.push(finding('TRY1152', 'warning', identity, error.message, error.remedy ?? 'Remove the file.'));
    }
  }
  return { facts: good === 0 ? [] : [`${good} of ${identities.length} workload certificates on disk`], findings };
}

async function judgeFiles(
  settings: AgentSettings,
  identities: readonly SpiffeId[],
  nowMs: number,
): Promise<CheckOutcome> {
  const { files } = settings.identity;
  if (files === undefined) return { facts: [], findings: [], skipped: 'identity.files is incomplete' };
  const provider = new FilesProvider(files);
  const remedy = 'Let whatever renews these files do it, and look at its log.';
  const outcomes = await Promise.all(
    identities.map(async (identity) => {
      try {
        const { certificateChainPem } = await provider.issue(identity);
        const facts = certificateFacts(parseCertificate(splitPem(certificateChainPem)[0] ?? '', files.certificateFile));
        return judgeValidity(files.certificateFile, facts, nowMs, remedy);
      } catch (error) {
        if (!(error instanceof TrysailError)) throw error;
        return finding('TRY1152', 'error', identity, error.message, error.remedy ?? remedy);
      }
    }),
  );
  const findings = outcomes.filter((each) => each !== undefined);
  return {
    facts: [`${identities.length - findings.length} of ${identities.length} identities in ${files.certificateFile}`],
    findings,
  };
}

/** Whether the host can show who it is, now and for some time. */
export function identityCheck(settings: AgentSettings, config: MeshConfig): HostCheck {
  return {
    name: 'identity',
    needsConfiguration: true,
    async run({ io }) {
      const { provider } = settings.identity;
      if (provider === 'none') return { facts: [], findings: [], skipped: 'plain text only (identity.provider: none)' };
      const identities = neededIdentities(toHost(settings, config));
      if (provider === 'files') return judgeFiles(settings, identities, io.now());
      const standing = await hostStanding(settings, config.trustDomain);
      if (standing.hidden)
        return { facts: [], findings: [], skipped: `${settings.paths.state} is closed to this user: run it as root` };
      const host = judgeHost(standing, io.now());
      const workloads = await judgeWorkloads(settings.paths.state, identities, io.now());
      return { facts: [...host.facts, ...workloads.facts], findings: [...host.findings, ...workloads.findings] };
    },
  };
}
