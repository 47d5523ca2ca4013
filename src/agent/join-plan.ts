/** What joining would make of this host: looked at as a whole before anything is changed. */
import { dirname, join } from 'node:path';
import { publicKeysOf } from '../fleet/signing-key.ts';
import type { JoinDescription } from '../identity/host-method.ts';
import { TrysailError } from '../lib/errors.ts';
import { PATHS } from '../platform/vm/paths.ts';
import { parseMeshConfig } from '../sources/mesh-config.ts';
import { type ComposedFile, composeAgentYaml, composeFleetRoot, composeMeshConfig } from './join-config.ts';
import { credentialOf, settingsFrom, textOf } from './join-host.ts';
import type { JoinMachine } from './join-machine.ts';
import { askCa, checkConsul, checkEntitlement, checkRights, readToken } from './join-preflight.ts';
import type { JoinSettings } from './join-settings.ts';
import { unitsFor } from './join-units.ts';
import type { AgentSettings } from './settings.ts';

export interface JoinOptions {
  /** The join token. */
  readonly tokenText: string;
  /** Path of agent.yaml; meshconfig.yaml and the token lie beside it unless it says otherwise. */
  readonly configFile: string;
  readonly wanted: JoinSettings;
  /** Says what would be done, and does nothing. */
  readonly dryRun: boolean;
  /** How long to wait until the host is in the mesh, in milliseconds. */
  readonly timeoutMs: number;
  readonly machine: JoinMachine;
  /** Gets progress, one sentence a line. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface JoinPlan {
  readonly settings: AgentSettings;
  readonly description: JoinDescription & { readonly address: string };
  readonly agentYaml: ComposedFile & { readonly path: string; readonly isNew: boolean };
  readonly meshConfig: ComposedFile & { readonly path: string; readonly isNew: boolean };
  /** Undefined: the CA hands none out. */
  readonly fleetRoot: JoinPlan['meshConfig'] | undefined;
  readonly tokenFile: string;
  readonly units: readonly string[];
  readonly hadJoined: boolean;
  /** False: the credential that the host has came from this very token. */
  readonly needsToken: boolean;
}

/**
 * Everything that can be known without changing anything.
 * @throws TrysailError what is in the way; see `joinHost`
 */
export async function planJoin(options: JoinOptions): Promise<JoinPlan> {
  const { configFile, wanted, tokenText, machine, say, signal } = options;
  const { token, trustDomain } = readToken(tokenText);
  const folder = dirname(configFile);
  const existing = await textOf(configFile);
  const paths = { tokenFile: join(folder, 'join.token'), trustDomain };
  // Checked without the name of a file that is only about to be written.
  const checked = composeAgentYaml(existing, wanted, { ...paths, meshConfigFile: undefined });
  const settings = await settingsFrom(configFile, checked.text);
  if (settings.identity.provider !== 'trysail-ca') {
    throw new TrysailError(
      'CONFIGURATION_INVALID',
      `${configFile} says identity.provider: ${settings.identity.provider}`,
      {
        remedy: 'Only hosts with the provider trysail-ca join; remove that setting, or do without joining.',
      },
    );
  }
  const units = await unitsFor(machine, settings);
  if (!options.dryRun) await checkRights(machine, folder, units.length > 0);
  const meshPath = settings.mesh.configFile ?? join(folder, 'meshconfig.yaml');
  const isFoundAnyway = settings.mesh.configFile !== undefined || meshPath === PATHS.meshConfig;
  const existingMesh = await textOf(meshPath);
  if (existingMesh !== undefined) checkTrustDomain(meshPath, existingMesh, trustDomain);
  say(`Asking the CA at ${settings.identity.ca.address ?? token.ca.join(', ')}.`);
  const description = await askCa(settings, tokenText, { say, signal });
  checkEntitlement(settings, description);
  if (settings.registry === 'consul') say(`Asking Consul at ${settings.consul.address}.`);
  await checkConsul(settings);
  const fleetRoot = await fleetRootFor(description.fleetRoot, settings, folder);
  const agentYaml = composeAgentYaml(existing, wanted, {
    ...paths,
    meshConfigFile: isFoundAnyway ? undefined : meshPath,
    fleetRootFile:
      settings.mesh.fleet !== undefined || fleetRoot?.path === PATHS.fleetRoot ? undefined : fleetRoot?.path,
  });
  const credential = await credentialOf(settings, trustDomain);
  const hadJoined = credential !== undefined && credential.facts.notAfterMs > Date.now();
  return {
    settings,
    description,
    agentYaml: { ...agentYaml, path: configFile, isNew: existing === undefined },
    meshConfig: {
      ...composeMeshConfig(existingMesh, description.meshConfig, trustDomain),
      path: meshPath,
      isNew: existingMesh === undefined,
    },
    fleetRoot,
    tokenFile: settings.identity.ca.joinTokenFile ?? join(folder, 'join.token'),
    units,
    hadJoined,
    needsToken: !hadJoined || credential?.tokenId !== token.id,
  };
}

/** Where the fleet's root goes, and what becomes of the file; undefined where there is none, or nobody asks for it. */
async function fleetRootFor(
  given: string | undefined,
  { mesh, registry }: AgentSettings,
  folder: string,
): Promise<JoinPlan['fleetRoot']> {
  if (given === undefined || registry !== 'consul') return undefined;
  const path = mesh.fleet?.trustFile ?? join(folder, 'fleet-root.pem');
  publicKeysOf(given, "the CA's answer");
  const existing = await textOf(path);
  return { ...composeFleetRoot(existing, given), path, isNew: existing === undefined };
}

function checkTrustDomain(path: string, text: string, trustDomain: string): void {
  const { config } = parseMeshConfig(text, path);
  if (config === undefined || config.trustDomain === trustDomain) return;
  throw new TrysailError(
    'TRUST_DOMAIN_MISMATCH',
    `${path} says trustDomain ${config.trustDomain}, the token is for ${trustDomain}`,
    { remedy: `If this host is to change meshes, run "trysail leave" first; else correct the file.` },
  );
}
